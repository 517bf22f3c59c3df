//! Build script shared by the crates above `slotcon-torch`: their binaries and tests find libtorch
//! where it was at build time, so nothing has to be exported to run them.

#![allow(clippy::print_stdout, reason = "cargo reads what a build script prints")]

use std::path::Path;

fn main() {
    println!("cargo:rerun-if-changed=../slotcon-torch/link.rs");
    let Ok(lib) = std::env::var("DEP_SLOTCON_TORCH_LIBTORCH_LIB") else {
        return;
    };
    println!("cargo:rustc-link-arg=-Wl,-rpath,{lib}");
    // Set-up may put another build of libtorch, with or without CUDA, into the same folder.
    println!("cargo:rerun-if-changed={lib}");
    // The CUDA backend registers itself when it is loaded; no symbol of it is named by our code,
    // so the linker would drop it.
    let cuda = Path::new(&lib).join("libtorch_cuda.so");
    if cuda.exists() {
        println!(
            "cargo:rustc-link-arg=-Wl,--no-as-needed,{},--as-needed",
            cuda.display()
        );
    }
}
