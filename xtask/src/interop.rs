//! `cargo xtask test --interop`: our files in other programs and theirs here, with a Python of its own.

use crate::{process, setup, test, venv};
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// What the virtual environment holds; another list makes another environment.
const PACKAGES: [&str; 5] = [
    "torch==2.11.0",
    "torchvision==0.26.0",
    "timm==1.0.31",
    "safetensors==0.8.0",
    "numpy==2.4.6",
];

/// Prepares the environment, then runs the tests that need it.
///
/// # Errors
/// If set-up, pip, the build or a test fails.
pub fn run(root: &Path) -> Result<()> {
    setup::run(root, setup::Choice::Auto)?;
    let folders = test::folders(root)?;
    let python = environment(root)?;
    setup::announce_first_build(root, "debug");
    let mut tests = process::cargo(root);
    tests.args(["test", "-p", "slotcon-cli", "--test", "interop"]);
    tests.args(["--", "--ignored", "--nocapture", "--test-threads=1"]);
    tests.envs(folders).env("SLOTCON_INTEROP_PYTHON", python);
    process::run(&mut tests)
}

/// The Python of `.venv-interop`, made unless it is whole already.
fn environment(root: &Path) -> Result<PathBuf> {
    let folder = root.join(".venv-interop");
    let python = folder.join("bin").join("python");
    let (whole, packages) = (folder.join("packages.txt"), PACKAGES.join("\n"));
    if std::fs::read_to_string(&whole).is_ok_and(|found| found == packages) {
        return Ok(python);
    }
    eprintln!(
        "Making {}: PyTorch with CUDA's libraries, about 3 GB to fetch, once.",
        folder.display()
    );
    venv::make(&folder, &PACKAGES)?;
    std::fs::write(&whole, packages).with_context(|| format!("cannot write {}", whole.display()))?;
    Ok(python)
}
