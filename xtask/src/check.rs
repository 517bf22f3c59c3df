//! `cargo xtask check`: what must pass before a change goes in.

use crate::{process, setup, test};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// Format, clippy and docs with warnings as errors, then the tests. All use the dev profile, so that libtorch's
/// bindings are compiled once for the four.
///
/// # Errors
/// On the first step that fails.
pub fn run(root: &Path) -> Result<()> {
    process::run(process::cargo(root).args(["fmt", "--all", "--check"]))?;
    setup::run(root, setup::Choice::Auto)?;
    setup::announce_first_build(root, "debug");
    process::run(process::cargo(root).args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--",
        "-D",
        "warnings",
    ]))?;
    process::run(
        process::cargo(root)
            .args(["doc", "--workspace", "--no-deps", "--document-private-items"])
            .env("RUSTDOCFLAGS", "-D warnings"),
    )?;
    test::run(root, &[])
}

/// Compiles and links everything against the CUDA build of libtorch and proves that the binary loads it.
///
/// # Errors
/// If set-up, the build or the proof fails.
pub fn run_cuda(root: &Path) -> Result<()> {
    let libtorch = setup::cuda_beside(root)?;
    let target = root.join("target").join("cuda");
    let mut build = process::cargo(root);
    build
        .args(["build", "--workspace", "--all-targets"])
        .env("LIBTORCH", libtorch.join("torch"))
        .env_remove("LIBTORCH_USE_PYTORCH")
        .env_remove("LIBTORCH_INCLUDE")
        .env_remove("LIBTORCH_LIB")
        .env("CARGO_TARGET_DIR", &target);
    process::run(&mut build)?;

    let binary = target.join("debug").join("slotcon");
    let dynamic = process::output(Command::new("readelf").arg("-d").arg(&binary))?;
    let needed = needed(&dynamic);
    if !needed.contains(&"libtorch_cuda.so") {
        bail!(
            "{} was linked without libtorch_cuda.so, so it would never use a GPU; it needs {}",
            binary.display(),
            needed.join(", ")
        );
    }
    let symbols = process::output(
        Command::new("readelf")
            .args(["--dyn-syms", "--wide"])
            .arg(&binary),
    )?;
    if !symbols.contains("ProcessGroupNCCL") {
        bail!(
            "{} was compiled without NCCL, so GPUs could not train together",
            binary.display()
        );
    }
    process::output(Command::new(&binary).arg("--help"))
        .context("the CUDA build does not start on this machine; it must start without a GPU too")?;
    println!(
        "CUDA build: {} links libtorch_cuda.so, uses its NCCL, and starts",
        binary.display()
    );
    Ok(())
}

/// The shared libraries in what `readelf -d` printed.
fn needed(dynamic: &str) -> Vec<&str> {
    dynamic
        .lines()
        .filter(|line| line.contains("(NEEDED)"))
        .filter_map(|line| line.split_once('[')?.1.split_once(']'))
        .map(|(name, _)| name)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::needed;

    #[test]
    fn reads_what_readelf_prints() {
        let text = " 0x0000000000000001 (NEEDED)  Shared library: [libtorch_cuda.so]\n \
                     0x000000000000001d (RUNPATH)  Library runpath: [/x]\n \
                     0x0000000000000001 (NEEDED)  Shared library: [libc.so.6]\n";
        assert_eq!(needed(text), ["libtorch_cuda.so", "libc.so.6"]);
    }
}
