//! `slotcon import`: the official training checkpoint, or a segmentor of MMSegmentation, as one of ours.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use slotcon::interop::Imported;
use slotcon_data::annotations::Annotations;
use slotcon_data::labelled::Classes;
use slotcon_transfer::instances;
use slotcon_transfer::semantic::mmsegmentation;
use slotcon_weights::{WeightFile, refuse_caffe2};

use crate::export::free;
use crate::status::Status;

/// Make a checkpoint of this program from one of another. What went where is printed, one tensor a line.
///
/// A training checkpoint of the official implementation (ckpt_epoch_N.pth, current.pth): both networks, momentum, centre, epoch
/// and schedule, loss scale, and its command line as the recipe.
///
/// An FCN of MMSegmentation 0.x or 1.x on a ResNet (iter_N.pth): backbone and heads, the classes in its meta, and its
/// configuration for what weights do not show (strides, dilations, normalisation, test size); --recipe where it has none. Its
/// optimizer is left out. evaluate semantic, segment, export and finetune semantic --segmentor take the result.
///
/// Or from a detector of detectron2, Mask R-CNN with a feature pyramid on a ResNet (.pkl, .pth; also those of its zoo): every weight; its
/// structure is read off them. evaluate instances, detect and finetune instances --init-from take the result.
///
/// No code in the file is run: names that weights do not need are refused. A backbone alone is not imported but started
/// from: pretrain --init-backbone.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The checkpoint, in the zip or the older format of torch.save; of a segmentor also as safetensors.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// A file that ends in .safetensors, for every command that takes --checkpoint; or a new folder, which becomes a run
    /// directory: `pretrain --resume --data DIR --out FOLDER` goes on with it, on as many pictures as it was trained on.
    #[arg(long, value_name = "FILE.safetensors|FOLDER")]
    out: PathBuf,
    /// Recipe of finetune semantic, published or a file, that describes the network of a segmentor, in place of the configuration in
    /// the file.
    #[arg(long, value_name = "NAME|FILE")]
    recipe: Option<String>,
    /// Classes of a segmentor, where the file does not name them: {"classes": ["sky", …]}.
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
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
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let to_file = args.out.extension().is_some_and(|e| e == "safetensors");
    if to_file {
        free(&args.out, args.overwrite)?;
    } else if args.out.is_file() || args.out.extension().is_some_and(|e| e == "pth" || e == "pt") {
        bail!(
            "{}: must end in .safetensors (a checkpoint), or be a folder (a run directory)",
            args.out.display()
        );
    }
    let file = WeightFile::open(&args.from)?;
    refuse_caffe2(&file)?;
    if mmsegmentation::is_segmentor(&file) {
        return segmentor(args, &file, to_file);
    }
    if args.recipe.is_some() || args.classes.is_some() {
        bail!(
            "{}: --recipe and --classes are for a segmentor of MMSegmentation, which it is not: it has no decode_head.conv_seg.weight",
            args.from.display()
        );
    }
    if instances::is_detector(&file) {
        return detector(args, to_file);
    }
    if args.annotations.is_some() {
        bail!(
            "{}: --annotations is for a detector of detectron2, which it is not",
            args.from.display()
        );
    }
    let imported = Imported::of(&file, &args.set)?;
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
    Ok(Status::DONE)
}

fn segmentor(args: &Args, file: &WeightFile, to_file: bool) -> anyhow::Result<Status> {
    if !to_file {
        bail!(
            "{}: a segmentor becomes a file that ends in .safetensors",
            args.out.display()
        );
    }
    let classes = args.classes.as_deref().map(Classes::open).transpose()?;
    let classes = classes.map(|classes| classes.classes);
    let imported = mmsegmentation::Imported::read(file, args.recipe.as_deref(), &args.set, classes)?;
    imported.save(&args.out)?;
    let (data, model, test) = (
        &imported.recipe.data,
        &imported.recipe.model,
        &imported.recipe.test,
    );
    out!("{}", imported.report);
    out!(
        "wrote {}: {} at output stride {}, {} classes; head dilation {}, align_corners {}, normalisation {}, test frame {:?}, {}",
        args.out.display(),
        model.arch,
        model.output_stride,
        data.classes.len(),
        model.head_dilation,
        model.align_corners,
        data.normalisation.name(),
        test.test_frame,
        match test.window {
            0 => "whole".to_owned(),
            side => format!("windows of {side} every {}", test.window_stride),
        }
    );
    Ok(Status::DONE)
}

fn detector(args: &Args, to_file: bool) -> anyhow::Result<Status> {
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
    Ok(Status::DONE)
}
