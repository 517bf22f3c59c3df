//! Weights in and out: the official checkpoint and its converters, every backbone's names, and files that mean harm.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod backbones;
mod hostile;
mod official;
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let mut trials = hostile::trials();
    trials.extend(backbones::trials());
    match support::fixtures() {
        None => trials.push(Trial::test("official (no fixtures)", || Ok(())).with_ignored_flag(true)),
        Some(folder) => trials.push(Trial::test("official checkpoint", move || {
            official::check(&folder);
            Ok(())
        })),
    }
    libtest_mimic::run(&args, trials).exit_code()
}
