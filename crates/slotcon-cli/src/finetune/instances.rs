//! `slotcon finetune instances`.

use std::path::{Path, PathBuf};

use slotcon_data::sampler::evenly;
use slotcon_report::instances as page;
use slotcon_train::{RunDirectory, train};
use slotcon_transfer::instances::{AnnotationFile, InstanceSegmentation, InstancesRecipe, Sources, Start};

use crate::arguments::weights_of;
use crate::report;
use crate::run_arguments::{Prepared, RunArgs, published};
use crate::status::Status;

/// Detection and instance segmentation: a box, a class and a mask for every object, by Mask R-CNN with a feature pyramid on the
/// backbone.
///
/// The run directory is that of pretrain: recipe.toml, metrics.jsonl, TensorBoard events, log.txt, checkpoints/ (best.safetensors by
/// AP of masks on the pictures kept for measuring), report.html. The annotation files are read and every picture's size is looked at
/// before the first step; what cannot be used is left out with a line that says how many and why. It is measured every
/// run.validate_every steps and after the last.
#[derive(Debug, clap::Args)]
#[command(after_help = published::<InstancesRecipe>())]
pub struct Args {
    /// Folder of a set in COCO's layout: annotations/instances_NAME.json and a folder NAME of pictures, for each of --train and
    /// --val.
    #[arg(long, value_name = "DIR", required_unless_present = "annotations")]
    data: Option<PathBuf>,
    /// The part of it to learn from.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "train2017",
        conflicts_with = "annotations"
    )]
    train: String,
    /// The part of it to measure on [default: val2017 if it is there].
    #[arg(long, value_name = "NAME|none", conflicts_with = "annotations")]
    val: Option<String>,
    /// An annotation file of COCO's format to learn from, in place of --data; with --images.
    #[arg(long, value_name = "FILE", requires = "images", conflicts_with = "data")]
    annotations: Option<PathBuf>,
    /// The folder of its pictures.
    #[arg(long, value_name = "DIR", requires = "annotations")]
    images: Option<PathBuf>,
    /// An annotation file to measure on; with --val-images.
    #[arg(long, value_name = "FILE", requires_all = ["annotations", "val_images"])]
    val_annotations: Option<PathBuf>,
    /// The folder of its pictures.
    #[arg(long, value_name = "DIR", requires = "val_annotations")]
    val_images: Option<PathBuf>,
    /// Learn from N pictures only, evenly spread over the set.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// The backbone to start from: a checkpoint of pretrain (its teacher), a ResNet's state dict of torchvision or timm, one with
    /// prefixes as MoCo's; or none, from scratch. A weight that is missing or of another shape is an error. A whole detector is
    /// started from by --init-from instead.
    #[arg(long, value_name = "FILE|none", required_unless_present = "init_from")]
    backbone: Option<PathBuf>,
    /// Which backbone of a file that holds several: what its names begin with, e.g. encoder_q (the student of SlotCon).
    #[arg(long, value_name = "PREFIX", requires = "backbone")]
    backbone_prefix: Option<String>,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the subcommand.
///
/// # Errors
/// Whatever ends the run.
pub fn run(args: Args) -> anyhow::Result<Status> {
    let sources = args.sources()?;
    let (mut recipe, options) = match args.run.prepare::<InstancesRecipe>()? {
        Prepared::Train { recipe, options } => (recipe, options),
        Prepared::Done(code) => return Ok(code),
    };
    // The checkpoint should know its classes by itself.
    if let Some(recipe) = &mut recipe
        && recipe.data.classes.is_empty()
    {
        let annotations = sources.train.merged(&recipe.data.merge)?.annotations;
        recipe.data.classes = annotations.names();
        let ids = annotations.categories.iter().map(|category| category.id);
        recipe.data.category_ids = ids.collect();
    }
    let outcome = train::<InstanceSegmentation>(recipe, &sources, &options);
    let write = |directory: RunDirectory, path: &Path, device| {
        let shown = sources.val.as_ref().unwrap_or(&sources.train);
        let options = page::Options {
            pictures: Some(shown.clone()),
            device,
        };
        page::write_report(directory, path, &options)
    };
    report::of_run(outcome, &options, &write)
}

/// Annotation file and folder of pictures of part `name` of a set in COCO's layout.
pub fn part_of(root: &Path, name: &str) -> (PathBuf, PathBuf) {
    let file = root.join("annotations").join(format!("instances_{name}.json"));
    (file, root.join(name))
}

impl Args {
    fn sources(&self) -> anyhow::Result<Sources> {
        let open = |(file, images): (PathBuf, PathBuf)| AnnotationFile::open(file, &images);
        let (mut train, val, folders) = match (&self.data, &self.annotations, &self.images) {
            (None, Some(file), Some(images)) => {
                let val = match (&self.val_annotations, &self.val_images) {
                    (Some(file), Some(images)) => Some(open((file.clone(), images.clone()))?),
                    _ => None,
                };
                (open((file.clone(), images.clone()))?, val, vec![images.clone()])
            }
            (Some(root), ..) => {
                let val = match self.val.as_deref() {
                    Some("none") => None,
                    Some(name) => Some(open(part_of(root, name))?),
                    None => {
                        let part = part_of(root, "val2017");
                        part.0.is_file().then(|| open(part)).transpose()?
                    }
                };
                (open(part_of(root, &self.train))?, val, vec![root.clone()])
            }
            _ => anyhow::bail!("give --data DIR, or --annotations FILE and --images DIR"),
        };
        if let Some(limit) = self.limit {
            train.annotations.leave_out_empty();
            let all = std::mem::take(&mut train.annotations.pictures);
            let chosen = evenly(all.len(), limit as usize).map(|i| all[i].clone());
            train.annotations.pictures = chosen.collect();
        }
        let start = match &self.backbone {
            Some(path) if path.as_os_str() != "none" => Start::Backbone {
                path: weights_of(path)?,
                prefix: self.backbone_prefix.clone(),
            },
            _ => Start::Scratch,
        };
        Ok(Sources {
            train,
            val,
            folders,
            start,
        })
    }
}
