//! Golden values of other programs' metrics, from `fixtures/` and the folders that `SLOTCON_FIXTURES` adds.

mod cluster_metrics;
mod coco;
mod semantic;
mod support;

use std::error::Error;
use std::process::ExitCode;

use libtest_mimic::Arguments;
use slotcon_golden::Kind;

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Arguments::from_args();
    let kind = |folder, prefix| Kind {
        folder,
        prefix,
        ending: ".json",
        beside: &[],
    };
    let mut trials = slotcon_golden::trials(kind("", "cluster_metrics"), cluster_metrics::trials)?;
    trials.extend(slotcon_golden::trials(kind("transfer", "ops"), semantic::trials)?);
    trials.extend(slotcon_golden::trials(
        kind("transfer", "coco_eval"),
        coco::trials,
    )?);
    Ok(libtest_mimic::run(&args, trials).exit_code())
}
