//! `cargo xtask check`: what must pass before a change goes in.

use crate::{house, process, program, setup, test};
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::process::Command;

/// One thing that is checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Format.
    Fmt,
    /// Which crate knows which, what lies in the root, whether `Cargo.lock` is up to date.
    House,
    /// Clippy with warnings as errors.
    Clippy,
    /// Documentation with warnings as errors.
    Docs,
    /// Whether the fuzz targets, which are workspaces of their own, still compile.
    Fuzz,
    /// Every test.
    Test,
}

impl Step {
    /// All steps, the quickest to fail first.
    pub const ALL: [Self; 6] = [
        Self::Fmt,
        Self::House,
        Self::Clippy,
        Self::Docs,
        Self::Fuzz,
        Self::Test,
    ];

    /// Its name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fmt => "fmt",
            Self::House => "house",
            Self::Clippy => "clippy",
            Self::Docs => "docs",
            Self::Fuzz => "fuzz",
            Self::Test => "test",
        }
    }
}

/// Folders of fuzz targets.
const FUZZ: [&str; 2] = ["crates/slotcon-data/fuzz", "crates/slotcon-weights/fuzz"];

/// Runs `steps` one after the other. All use the dev profile, so that libtorch's bindings are compiled once.
///
/// # Errors
/// On the first step that fails.
pub fn run(root: &Path, steps: &[Step]) -> Result<()> {
    for step in steps {
        match step {
            Step::Fmt => process::run(process::cargo(root).args(["fmt", "--all", "--check"]))?,
            Step::House => house::check(root)?,
            Step::Test => test::run(root, &[])?,
            Step::Clippy | Step::Docs | Step::Fuzz => {
                setup::run(root, setup::Choice::Auto)?;
                setup::announce_first_build(root, "debug");
                match step {
                    Step::Clippy => clippy(root)?,
                    Step::Docs => docs(root)?,
                    _ => fuzz(root)?,
                }
            }
        }
    }
    Ok(())
}

fn clippy(root: &Path) -> Result<()> {
    let mut clippy = process::cargo(root);
    clippy.args(["clippy", "--workspace", "--all-targets"]);
    process::run(clippy.args(["--", "-D", "warnings"]))
}

fn docs(root: &Path) -> Result<()> {
    let mut docs = process::cargo(root);
    docs.args(["doc", "--workspace", "--no-deps", "--document-private-items"]);
    process::run(docs.env("RUSTDOCFLAGS", "-D warnings"))
}

/// The stable compiler checks them; only to run them takes a nightly one. They share the workspace's lock file, so that they
/// are checked with its versions, and its folder of build outputs.
fn fuzz(root: &Path) -> Result<()> {
    for folder in FUZZ {
        let lock = root.join(folder).join("Cargo.lock");
        std::fs::copy(root.join("Cargo.lock"), &lock)
            .with_context(|| format!("cannot write {}", lock.display()))?;
        let mut check = process::cargo(&root.join(folder));
        // C++ is compiled for who links (slotcon-torch/build.rs).
        check.arg("check").env("SLOTCON_LINKS_NOTHING", "1");
        if std::env::var_os("CARGO_TARGET_DIR").is_none() {
            check.env("CARGO_TARGET_DIR", root.join("target"));
        }
        process::run(&mut check)?;
    }
    Ok(())
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
    if !program::dynamic_symbols(&binary)?.contains("ProcessGroupNCCL") {
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
