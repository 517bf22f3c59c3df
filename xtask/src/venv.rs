//! Virtual environments of Python, for tools that come from PyPI.

use crate::{process, setup};
use anyhow::Result;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Makes a fresh environment in `folder` with `packages` in it; gives its folder of programs.
///
/// # Errors
/// If there is no Python, or it or pip fails.
pub fn make(folder: &Path, packages: &[&str]) -> Result<PathBuf> {
    let outer = setup::python()?;
    process::run(Command::new(outer).args(["-m", "venv", "--clear"]).arg(folder))?;
    let bin = folder.join("bin");
    let mut pip = Command::new(bin.join("python"));
    pip.args([
        "-m",
        "pip",
        "install",
        "--disable-pip-version-check",
        "--no-cache-dir",
        "--quiet",
    ]);
    process::run(pip.args(packages))?;
    Ok(bin)
}
