//! Compiles the C++ of this crate against the libtorch that `torch-sys` found, and hands its place to every crate
//! that depends on this one.

use std::path::{Path, PathBuf};

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
    cxx_build::bridge("src/ffi.rs")
        .files([
            "cpp/autocast.cpp",
            "cpp/memory.cpp",
            "cpp/multi_tensor.cpp",
            "cpp/upload.cpp",
        ])
        .includes([
            include.join("torch/csrc/api/include"),
            include,
            PathBuf::from("cpp"),
        ])
        .std("c++17")
        .flag("-D_GLIBCXX_USE_CXX11_ABI=1")
        .warnings(false)
        .compile("slotcon_torch");
}
