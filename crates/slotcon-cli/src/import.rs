//! `slotcon import`: the official training checkpoint as one of ours.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use slotcon::interop::Imported;
use slotcon_data::annotations::Annotations;
use slotcon_transfer::instances;
use slotcon_weights::WeightFile;

use crate::export::free;

/// Make a checkpoint of this program from a training checkpoint of the official implementation (ckpt_epoch_N.pth,
/// current.pth): both networks, momentum, centre, epoch and schedule, loss scale, and its command line as the recipe. What
/// went where is printed, one tensor a line.
///
/// Or from a detector of detectron2, Mask R-CNN with a feature pyramid on a ResNet (.pkl, .pth; also those of its zoo): every weight; its
/// structure is read off them. evaluate instances, detect and finetune instances --init-from take the result.
///
/// No code in the file is run: names that weights do not need are refused. A backbone alone is not imported but started
/// from: pretrain --init-backbone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The official checkpoint, in the zip or the older format of torch.save.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// A file that ends in .safetensors, for every command that takes --checkpoint; or a new folder, which becomes a run
    /// directory: `pretrain --resume --data DIR --out FOLDER` goes on with it, on as many pictures as it was trained on.
    #[arg(long, value_name = "FILE.safetensors|FOLDER")]
    out: PathBuf,
    /// An annotation file of COCO that names the classes of a detector and their numbers; without it they are class 1, class 2, …
    #[arg(long, value_name = "FILE")]
    annotations: Option<PathBuf>,
    /// Change one key of the recipe, e.g. --set run.precision=bf16 (the official default is f16, which is very slow on a CPU)
    /// or --set data.layout=folder.
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<String>,
    /// Replace the file if it exists (not a run).
    #[arg(long)]
    overwrite: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// A file that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let to_file = args.out.extension().is_some_and(|e| e == "safetensors");
    if to_file {
        free(&args.out, args.overwrite)?;
    } else if args.out.is_file() || args.out.extension().is_some_and(|e| e == "pth" || e == "pt") {
        bail!(
            "{}: must end in .safetensors (a checkpoint), or be a folder (a run directory)",
            args.out.display()
        );
    }
    if instances::is_detector(&WeightFile::open(&args.from)?) {
        return detector(args, to_file);
    }
    if args.annotations.is_some() {
        bail!(
            "{}: --annotations is for a detector of detectron2, which it is not",
            args.from.display()
        );
    }
    let imported = Imported::read(&args.from, &args.set)?;
    let written = if to_file {
        imported.save(&args.out)?;
        args.out.clone()
    } else {
        imported.save_run(&args.out)?
    };
    out!("{}", imported.report);
    out!(
        "wrote {}: {}, step {} of {} ({} an epoch)",
        written.display(),
        imported.recipe.model.arch,
        imported.progress.step,
        imported.progress.total_steps,
        imported.progress.steps_per_epoch
    );
    Ok(ExitCode::SUCCESS)
}

fn detector(args: &Args, to_file: bool) -> anyhow::Result<ExitCode> {
    if !to_file {
        bail!(
            "{}: a detector becomes a file that ends in .safetensors",
            args.out.display()
        );
    }
    let categories = match &args.annotations {
        Some(path) => {
            let file = std::io::BufReader::new(
                std::fs::File::open(path).with_context(|| path.display().to_string())?,
            );
            let read = Annotations::read(file, Path::new(""));
            read.map_err(|reason| anyhow::anyhow!("{}: {reason}", path.display()))?
                .categories
        }
        None => Vec::new(),
    };
    let ids = categories.iter().map(|category| category.id).collect();
    let names = categories.into_iter().map(|category| category.name).collect();
    let imported = instances::Imported::read(&args.from, (names, ids), &args.set)?;
    imported.save(&args.out)?;
    out!("{}", imported.report);
    out!(
        "wrote {}: a detector on {}, {} classes",
        args.out.display(),
        imported.recipe.model.arch,
        imported.recipe.data.classes.len()
    );
    Ok(ExitCode::SUCCESS)
}
