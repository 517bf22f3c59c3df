//! Golden values of other programs' metrics, from the folder that `SLOTCON_FIXTURES` names.

mod cluster_metrics;
mod semantic;
mod support;

use std::error::Error;
use std::path::Path;
use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};

fn main() -> Result<ExitCode, Box<dyn Error>> {
    let args = Arguments::from_args();
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = std::env::var_os("SLOTCON_FIXTURES")
        .map_or_else(|| root.join("../shared/fixtures"), |value| root.join(value));
    let mut trials = Vec::new();
    for (found, what) in [
        (cluster_metrics::trials(&folder)?, "cluster_metrics*.json"),
        (semantic::trials(&folder)?, "transfer/ops*.json with miou"),
    ] {
        if found.is_empty() {
            eprintln!(
                "IGNORED: no {what} in {}; set SLOTCON_FIXTURES to a folder that has it",
                folder.display()
            );
            trials.push(Trial::test(format!("{what} (no fixtures)"), || Ok(())).with_ignored_flag(true));
        }
        trials.extend(found);
    }
    Ok(libtest_mimic::run(&args, trials).exit_code())
}
