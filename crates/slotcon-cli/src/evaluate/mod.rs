//! `slotcon evaluate`: a checkpoint measured against labels.

mod clusters;
mod coco;
mod instances;
mod named;
mod semantic;

use clap::Subcommand;

pub use clusters::{as_json, baselines, table};

use crate::status::Status;

/// Measure a checkpoint.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Clusters(clusters::Args),
    Semantic(semantic::Args),
    Instances(instances::Args),
    Coco(coco::Args),
}

/// Runs the subcommand.
///
/// # Errors
/// A file that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    match &args.what {
        What::Clusters(args) => clusters::run(args),
        What::Semantic(args) => semantic::run(args),
        What::Instances(args) => instances::run(args),
        What::Coco(args) => coco::run(args),
    }
}
