//! Golden values of the engines of transfer, from `fixtures/transfer` and the folders that `SLOTCON_FIXTURES` adds.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may say what it saw"
)]
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod compare;
mod detection_ops;
mod fcn;
mod maskrcnn;
mod over_ranks;
mod processor;
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
    let mut trials = slotcon_golden::trials(kind("fcn_"), |case| Ok(fcn::trials(case)))?;
    trials.extend(slotcon_golden::trials(kind("maskrcnn_"), |case| {
        Ok(maskrcnn::trials(case))
    })?);
    trials.extend(slotcon_golden::trials(kind("ops"), |case| {
        Ok(detection_ops::trials(case))
    })?);
    trials.push(over_ranks::trial());
    Ok(libtest_mimic::run(&args, trials).exit_code())
}
