//! The official implementation's golden values: every case of `fixtures/` and of the folders that `SLOTCON_FIXTURES` adds.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may say what it saw"
)]
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod names;
mod ranks;
mod schedules;
mod steps;

use std::error::Error;
use std::process::ExitCode;

use libtest_mimic::Arguments;
use slotcon_golden::{Kind, trials};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Arguments::from_args();
    let kind = |prefix| Kind {
        folder: "",
        prefix,
        ending: ".json",
        beside: &[],
    };
    let mut all = trials(kind("checkpoint_layouts"), |case| Ok(names::trials(case)))?;
    all.extend(trials(kind("schedules"), schedules::trials)?);
    all.extend(trials(kind("step_"), steps::trials)?);
    Ok(libtest_mimic::run(&args, all).exit_code())
}
