//! `slotcon pretrain`: from pictures to a checkpoint.

use std::path::PathBuf;

use slotcon::pretrain::Sources;
use slotcon::{Pretraining, Recipe};
use slotcon_train::train;

use crate::report;
use crate::run_arguments::{Prepared, RunArgs, published};
use crate::status::Status;
use crate::what_next::groups_and_masks;

/// Train on a folder of pictures; no labels, any layout.
///
/// Leaves in OUT: recipe.toml (everything resolved, loadable as it is), metrics.jsonl, TensorBoard events, log.txt,
/// environment.jsonl, checkpoints/ and report.html. Ctrl-C ends the run after the current step with a checkpoint.
///
/// Several processes train together when started by --ranks, torchrun --no-python, srun or mpirun. If groups collapse, raise
/// model.teacher_temp or lower optim.base_lr.
#[derive(Debug, clap::Args)]
#[command(after_help = published::<Recipe>())]
pub struct Args {
    /// Folder of pictures, searched with all its subfolders; several are taken together.
    #[arg(long, value_name = "DIR", required = true)]
    data: Vec<PathBuf>,
    /// Start a new run from a backbone alone: a ResNet's state dict of torchvision or timm (.pth, .safetensors), one with
    /// prefixes as MoCo's, an official SlotCon checkpoint or one of ours. Student and teacher both get it; projector,
    /// prototypes and predictor start fresh. A weight that is missing or of another shape is an error.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["init_from", "resume"])]
    init_backbone: Option<PathBuf>,
    /// Which of several backbones in that file (student and teacher, momentum): what its names begin with, or the end of that,
    /// e.g. teacher.backbone. Without it: the one trained by gradient, of MoCo's encoder_q and encoder_k.
    #[arg(long, value_name = "PREFIX", requires = "init_backbone")]
    init_prefix: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the subcommand.
///
/// # Errors
/// Whatever ends the run.
pub fn run(args: Args) -> anyhow::Result<Status> {
    let (recipe, options) = match args.run.prepare()? {
        Prepared::Train { recipe, options } => (recipe, options),
        Prepared::Done(code) => return Ok(code),
    };
    let sources = Sources {
        data: args.data,
        init_backbone: args.init_backbone,
        init_prefix: args.init_prefix,
    };
    let outcome = train::<Pretraining>(recipe, &sources, &options);
    let status = report::of_run(outcome, &options, &report::of_pretraining)?;
    if status == Status::DONE && options.launch.rank == 0 {
        eprintln!(
            "next, groups in these photos, and masks of them:\n{}",
            groups_and_masks(&options.out, &sources.data)
        );
    }
    Ok(status)
}
