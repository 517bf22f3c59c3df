//! Weights in and out: the official checkpoint and its converters, and every backbone's names.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod backbones;
mod official;
mod support;

use std::error::Error;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use slotcon_golden::Kind;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Arguments::from_args();
    let mut trials = backbones::trials();
    let kind = Kind {
        folder: "",
        prefix: "official_checkpoint",
        ending: ".pth.xz",
        beside: &["checkpoint_layouts.json"],
    };
    trials.extend(slotcon_golden::trials(kind, |case| {
        let name = case.name();
        let case = case.clone();
        Ok(vec![Trial::test(name, move || {
            official::check(&case);
            Ok(())
        })])
    })?);
    Ok(libtest_mimic::run(&args, trials).exit_code())
}
