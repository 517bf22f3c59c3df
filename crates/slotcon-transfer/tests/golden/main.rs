//! Golden values of the engines of transfer: every case that the folder `transfer` of the fixtures holds.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod compare;
mod fcn;
#[path = "../../../slotcon/tests/golden/support.rs"]
mod support;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> ExitCode {
    let args = Arguments::from_args();
    let trials = match support::fixtures() {
        None => vec![Trial::test("golden (no fixtures)", || Ok(())).with_ignored_flag(true)],
        Some(folder) => {
            let folder = folder.join("transfer");
            let found = if folder.is_dir() {
                fcn::trials(&folder)
            } else {
                Vec::new()
            };
            if found.is_empty() {
                let said = format!("no case fcn_*.json in {}", folder.display());
                vec![Trial::test("golden (an empty folder)", move || Err(said.into()))]
            } else {
                found
            }
        }
    };
    libtest_mimic::run(&args, trials).exit_code()
}
