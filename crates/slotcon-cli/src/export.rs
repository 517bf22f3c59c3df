//! `slotcon export`: weights for other programs.

use std::path::{Path, PathBuf};

use crate::arguments::weights_of;
use crate::status::Status;
use anyhow::bail;
use clap::ValueEnum;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use slotcon::interop::{Format, export};
use slotcon::method::Branch;
use slotcon_train::TaskRecipe;
use slotcon_train::checkpoint::About;
use slotcon_transfer::instances::{self, InstancesRecipe};
use slotcon_transfer::semantic::{SemanticRecipe, mmsegmentation};
use slotcon_weights::FitReport;
use tch::Device;

/// Write the weights of a checkpoint as other programs read them. What went where is printed, one tensor a line.
///
/// torchvision and timm get the backbone's state dict without the classifier, which a SlotCon backbone does not have: load
/// it with strict=True after `model.fc = torch.nn.Identity()`, or into timm.create_model(NAME, num_classes=0).
///
/// hub writes a folder for the Hugging Face Hub, which timm loads as it is: config.json, model.safetensors, a model card, and
/// projector and prototypes for the Python package. onnx is written by the Python package alone.
///
/// A checkpoint of finetune semantic goes to mmsegmentation whole, backbone and heads, with its classes, their colours and the
/// configuration that builds the network there.
///
/// A checkpoint of finetune instances goes to detectron2 whole: every tensor of the detector under its name there.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Checkpoint of a run, or its run directory (its best checkpoint, else its last).
    #[arg(long, value_name = "FILE|RUN")]
    checkpoint: PathBuf,
    /// Whose file it is to be.
    #[arg(long, value_name = "FORMAT")]
    format: FormatName,
    /// The file; its ending decides: .safetensors or .pth for torchvision and timm, .pkl for detectron2, .pth for
    /// mmsegmentation (of a segmentor .safetensors, too) and official, .safetensors for safetensors (every tensor of both
    /// networks). For hub a folder.
    #[arg(long, value_name = "FILE|DIR")]
    out: PathBuf,
    /// Which network's backbone: the teacher (the moving average; what the paper transfers) or the student. Not for official
    /// and safetensors, which hold both [default: teacher].
    #[arg(long, value_name = "NETWORK", value_parser = branches())]
    which: Option<Branch>,
    /// Licence of the weights, for the model card of hub, as the Hub spells it: apache-2.0, cc-by-nc-4.0, …
    #[arg(long, value_name = "NAME")]
    license: Option<String>,
    /// Replace the file if it exists; in a folder the files of the same names, and no other.
    #[arg(long)]
    overwrite: bool,
}

#[derive(Debug, Clone, Copy)]
struct FormatName(Format);

impl ValueEnum for FormatName {
    fn value_variants<'a>() -> &'a [Self] {
        const ALL: [FormatName; Format::ALL.len()] = {
            let mut all = [FormatName(Format::Torchvision); Format::ALL.len()];
            let mut i = 0;
            while i < Format::ALL.len() {
                all[i] = FormatName(Format::ALL[i].1);
                i += 1;
            }
            all
        };
        &ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.0.name()))
    }
}

fn branches() -> impl TypedValueParser<Value = Branch> {
    PossibleValuesParser::new(Branch::ALL.map(Branch::name)).try_map(|name| name.parse())
}

/// Runs the subcommand.
///
/// # Errors
/// A checkpoint or format that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let format = args.format.0;
    if args.which.is_some() && !format.is_backbone() {
        bail!("--which: format {} holds both networks", format.name());
    }
    if args.license.is_some() && format != Format::Hub {
        bail!(
            "--license is for the model card of --format hub; {} has none",
            format.name()
        );
    }
    free(&args.out, args.overwrite)?;
    let checkpoint = weights_of(&args.checkpoint)?;
    let task = About::open(&checkpoint)?.task;
    let report = if task == SemanticRecipe::TASK {
        if format != Format::Mmsegmentation || args.which.is_some() {
            bail!(
                "{}: a segmentor goes out whole, and only by --format mmsegmentation without --which",
                checkpoint.display()
            );
        }
        mmsegmentation::export(&checkpoint, &args.out)?
    } else if task == InstancesRecipe::TASK {
        detector(args, &checkpoint)?
    } else {
        let branch = args.which.unwrap_or_default();
        export(&checkpoint, format, branch, args.license.as_deref(), &args.out)?
    };
    out!("{report}");
    out!("wrote {}", args.out.display());
    Ok(Status::DONE)
}

/// A whole detector, which only detectron2 takes.
fn detector(args: &Args, checkpoint: &Path) -> anyhow::Result<FitReport> {
    let ending = args.out.extension().is_some_and(|ending| ending == "pkl");
    if args.format.0 != Format::Detectron2 || args.which.is_some() || !ending {
        bail!(
            "{}: a detector goes out whole, by --format detectron2 without --which, into a file that ends in .pkl",
            checkpoint.display()
        );
    }
    let detector = instances::FineTuned::open(checkpoint, Device::Cpu)?;
    Ok(instances::export_detectron2(&detector, &args.out)?)
}

/// Refuses a file that exists, unless told otherwise.
///
/// # Errors
/// Names it.
pub fn free(path: &Path, overwrite: bool) -> anyhow::Result<()> {
    if path.exists() && !overwrite {
        bail!("{} exists: --overwrite replaces it", path.display());
    }
    Ok(())
}
