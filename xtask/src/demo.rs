//! `cargo xtask demo`: set up, build, learn from drawn scenes.

use crate::{process, setup};
use anyhow::Result;
use std::path::Path;

/// Runs `slotcon demo` with the given arguments, in the profile of the tests: what is hot is optimised there, too, and
/// the two commands share one compilation.
///
/// # Errors
/// If set-up, the build or the demo fails.
pub fn run(root: &Path, args: &[String]) -> Result<()> {
    setup::run(root, setup::Choice::Auto)?;
    setup::announce_first_build(root, "debug");
    let mut cargo = process::cargo(root);
    // The arguments may name files relative to where the user stands.
    cargo.current_dir(std::env::current_dir()?);
    cargo
        .args(["run", "--package", "slotcon-cli", "--", "demo"])
        .args(args);
    process::run(&mut cargo)
}
