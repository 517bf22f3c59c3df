//! The official implementation's golden values: every case that the fixtures folder holds.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod names;
mod ranks;
mod schedules;
mod steps;
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let trials = match support::fixtures() {
        None => vec![Trial::test("golden (no fixtures)", || Ok(())).with_ignored_flag(true)],
        Some(folder) => [names::trials, schedules::trials, steps::trials]
            .into_iter()
            .flat_map(|of| of(&folder))
            .collect(),
    };
    libtest_mimic::run(&args, trials).exit_code()
}
