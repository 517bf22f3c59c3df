//! Golden values of the engines of transfer, from `fixtures/transfer` and the folders that `SLOTCON_FIXTURES` adds.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may say what it saw"
)]
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod compare;
mod fcn;
#[path = "../../../slotcon/tests/golden/ranks.rs"]
mod ranks;

use std::error::Error;
use std::process::ExitCode;

use libtest_mimic::Arguments;
use slotcon_golden::Kind;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Arguments::from_args();
    let kind = |prefix| Kind {
        folder: "transfer",
        prefix,
        ending: ".json",
        beside: &[],
    };
    let trials = slotcon_golden::trials(kind("fcn_"), |case| Ok(fcn::trials(case)))?;
    Ok(libtest_mimic::run(&args, trials).exit_code())
}
