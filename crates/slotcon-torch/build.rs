//! Hands the place of libtorch, which `torch-sys` found, to every crate that depends on this one.

fn main() {
    let lib = std::env::var("DEP_TCH_LIBTORCH_LIB").expect("torch-sys reports where libtorch is");
    println!("cargo:libtorch_lib={lib}");
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-changed={lib}");
}
