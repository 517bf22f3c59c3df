//! `cargo xtask`: everything this repository needs before, around and after `cargo build`.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command talks to its user"
)]

mod args;
mod browser;
mod check;
mod demo;
mod dist;
mod folder;
mod house;
mod interop;
mod old_glibc;
mod process;
mod program;
mod setup;
mod stub_libraries;
mod test;
mod venv;
mod wheel;

use anyhow::{Context, Result};
use args::Task;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nxtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let root = root()?;
    match args::parse(std::env::args().skip(1))? {
        Task::Help(text) => {
            print!("{text}");
            Ok(())
        }
        Task::Setup(choice) => setup::run(&root, choice),
        Task::Demo(args) => demo::run(&root, &args),
        Task::Test(args) => test::run(&root, &args),
        Task::Interop => interop::run(&root),
        Task::Browser => browser::run(&root),
        Task::Dist(profile) => dist::run(&root, profile),
        Task::Wheel(profile) => wheel::run(&root, profile),
        Task::Check(steps) => check::run(&root, &steps),
        Task::CheckCuda => check::run_cuda(&root),
        Task::Link { python, arguments } => old_glibc::link(&python, &arguments),
    }
}

/// The root of the repository: the folder above this crate, wherever the clone was moved to.
fn root() -> Result<PathBuf> {
    let manifest =
        std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into());
    let root = Path::new(&manifest)
        .parent()
        .context("xtask/ has no folder above it")?;
    Ok(root.to_path_buf())
}
