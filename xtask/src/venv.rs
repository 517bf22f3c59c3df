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
    if !packages.is_empty() {
        install(folder, packages, &[])?;
    }
    Ok(folder.join("bin"))
}

/// Adds packages without what they depend on.
///
/// # Errors
/// If pip fails.
pub fn add_alone(folder: &Path, packages: &[&str]) -> Result<()> {
    install(folder, packages, &["--no-deps"])
}

fn install(folder: &Path, packages: &[&str], options: &[&str]) -> Result<()> {
    let mut pip = Command::new(folder.join("bin").join("python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check"]);
    pip.args(["--no-cache-dir", "--quiet"]);
    process::run(pip.args(options).args(packages))
}
