//! `slotcon evaluate`: a checkpoint measured against labels.

mod clusters;
mod coco;
mod instances;
mod knn;
mod labelled;
mod named;
mod retrieval;
mod semantic;
mod table;

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
    Retrieval(retrieval::Args),
    Knn(knn::Args),
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
        What::Retrieval(args) => retrieval::run(args),
        What::Knn(args) => knn::run(args),
    }
}
