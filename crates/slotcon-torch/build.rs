//! Compiles the C++ of this crate against the libtorch that `torch-sys` found, and hands its place to every crate
//! that depends on this one.

use std::path::{Path, PathBuf};

/// Set where this crate is checked in a workspace that links nothing (`cargo xtask check fuzz`); clippy sets a variable of its own.
const LINKS_NOTHING: &str = "SLOTCON_LINKS_NOTHING";

/// What is compiled together: reading libtorch's headers takes the compiler half a minute, which two units do twice and a unit a file
/// would do twelve times.
const UNITS: [(&str, &[&str]); 2] = [
    (
        "kernels",
        &[
            "autocast",
            "linear",
            "memory",
            "multi_tensor",
            "nms",
            "roi_align",
            "tensors",
            "upload",
        ],
    ),
    ("distributed", &["group", "reducer", "store", "sync_batch_norm"]),
];

fn main() {
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys reports where libtorch is");
    println!("cargo:libtorch_lib={lib}");
    // This crate's own tests; link.rs does it for the crates above.
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed=cpp");
    println!("cargo:rerun-if-changed={lib}");
    println!("cargo:rerun-if-env-changed=LIBTORCH_INCLUDE");

    let include = std::env::var_os("LIBTORCH_INCLUDE").map_or_else(
        || {
            Path::new(&lib)
                .parent()
                .unwrap_or(Path::new("/usr"))
                .join("include")
        },
        |root| PathBuf::from(root).join("include"),
    );
    let mut build = cxx_build::bridge("src/ffi.rs");
    build
        .files(UNITS.map(|(name, files)| unit(name, files)))
        .includes([
            include.join("torch/csrc/api/include"),
            include.clone(),
            PathBuf::from("cpp"),
            // Names of gloo, whose headers libtorch comes without.
            PathBuf::from("cpp/gloo"),
        ])
        .define("USE_DISTRIBUTED", None)
        .define("USE_C10D_GLOO", None)
        .std("c++17")
        // Kernels are fast in tests as well.
        .opt_level(3)
        // Without it `at::parallel_for` runs on one core. The threads are libtorch's: the library is the one beside it.
        .flag("-fopenmp")
        .flag("-D_GLIBCXX_USE_CXX11_ABI=1")
        .warnings(false);
    if Path::new(&lib).join("libtorch_cuda.so").exists() {
        build.define("USE_C10D_NCCL", None);
        build.includes(cuda_headers(&include));
    }
    // What is only looked at is never linked, and has build outputs of its own: minutes of C++ for nothing.
    println!("cargo:rerun-if-env-changed={LINKS_NOTHING}");
    if !["CLIPPY_ARGS", LINKS_NOTHING]
        .iter()
        .any(|name| std::env::var_os(name).is_some())
    {
        build.compile("slotcon_torch");
    }
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|os| os == "linux") {
        println!("cargo:rustc-link-lib=gomp");
    }
}

/// A file in `OUT_DIR` that includes `files`.
fn unit(name: &str, files: &[&str]) -> PathBuf {
    let out = std::env::var_os("OUT_DIR").expect("cargo says where build scripts may write");
    let path = PathBuf::from(out).join(format!("{name}.cpp"));
    let text: String = files
        .iter()
        .map(|file| format!("#include \"{file}.cpp\"\n"))
        .collect();
    std::fs::write(&path, text).expect("a build script can write to OUT_DIR");
    path
}

/// The folders with CUDA's and NCCL's headers: those of nvidia's wheels beside torch, as `cargo xtask setup --cuda` and
/// pip lay them out, and those of a CUDA toolkit if one is named.
fn cuda_headers(include: &Path) -> Vec<PathBuf> {
    println!("cargo:rerun-if-env-changed=CUDA_HOME");
    let beside = include.ancestors().nth(2).unwrap_or(Path::new("/"));
    let mut folders: Vec<PathBuf> = ["cu13", "nccl"]
        .iter()
        .map(|wheel| beside.join("nvidia").join(wheel).join("include"))
        .collect();
    folders.extend(std::env::var_os("CUDA_HOME").map(|home| PathBuf::from(home).join("include")));
    folders.retain(|folder| folder.is_dir());
    folders
}
