//! Weights in and out: the official checkpoint and its converters, and every backbone's names.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod backbones;
mod official;
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let mut trials = backbones::trials();
    match support::fixtures() {
        None => trials.push(Trial::test("official (no fixtures)", || Ok(())).with_ignored_flag(true)),
        Some(folder) => trials.push(Trial::test("official checkpoint", move || {
            official::check(&folder);
            Ok(())
        })),
    }
    libtest_mimic::run(&args, trials).exit_code()
}
