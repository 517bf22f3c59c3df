//! `slotcon finetune`: from a backbone and labelled pictures to a network for a task.

mod instances;

pub use instances::part_of;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Subcommand;
use slotcon_data::labelled::{Classes, LabelLayout, Pair, Pairs, Splits, pairs};
use slotcon_data::sampler::evenly;
use slotcon_report::semantic;
use slotcon_train::{RunDirectory, train};
use slotcon_transfer::semantic::{SemanticRecipe, SemanticSegmentation, Sources, Start};

use crate::arguments::weights_of;
use crate::report;
use crate::run_arguments::{Prepared, RunArgs, published};
use crate::status::Status;

/// Fine-tune a backbone on labelled pictures.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    task: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Semantic(SemanticArgs),
    Instances(instances::Args),
}

/// Semantic segmentation: a class for every pixel, by a fully convolutional head on the backbone.
///
/// The run directory is that of pretrain: recipe.toml, metrics.jsonl, TensorBoard events, log.txt, checkpoints/ (best.safetensors
/// by mIoU on the pictures kept for measuring), report.html. Every label map is looked at before the first step.
#[derive(Debug, clap::Args)]
#[command(after_help = published::<SemanticRecipe>())]
struct SemanticArgs {
    /// Folder of the labelled set, arranged as --layout says.
    #[arg(long, value_name = "DIR", required_unless_present = "images")]
    data: Option<PathBuf>,
    /// index: images/ and labels/, with or without train/ and val/ below them, classes from --classes. voc (the folder
    /// VOC2012), cityscapes (its 19 classes, from labelIds; from labelTrainIds where only those are there), ade20k, cocostuff: as
    /// they are published.
    #[arg(long, default_value = "index", value_name = "NAME")]
    layout: LabelLayout,
    /// Pictures to learn from, in place of --data; with --labels.
    #[arg(long, value_name = "DIR", requires = "labels", conflicts_with = "data")]
    images: Option<PathBuf>,
    /// Their label maps.
    #[arg(long, value_name = "DIR", requires = "images")]
    labels: Option<PathBuf>,
    /// Pictures to measure on while it learns; with --val-labels.
    #[arg(long, value_name = "DIR", requires_all = ["images", "val_labels"])]
    val_images: Option<PathBuf>,
    /// Their label maps.
    #[arg(long, value_name = "DIR", requires = "val_images")]
    val_labels: Option<PathBuf>,
    /// {"classes": ["sky", …], "ignore_index": 255}, and if wanted "ids": class of every id in the files, "palette": [[r, g, b], …]
    /// of the classes in coloured maps. Needed for the layout
    /// index; without it classes.json in DIR is taken.
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Learn from N labelled pictures only, evenly spread over the set.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    limit: Option<u32>,
    /// The backbone to start from: a checkpoint of pretrain (its teacher), a ResNet's state dict of torchvision or timm, one with
    /// prefixes as MoCo's; or none, from scratch. A weight that is missing or of another shape is an error.
    #[arg(long, value_name = "FILE|none", required_unless_present = "segmentor")]
    backbone: Option<PathBuf>,
    /// Which backbone of a file that holds several: what its names begin with, e.g. encoder_q (the student of SlotCon).
    #[arg(long, value_name = "PREFIX")]
    backbone_prefix: Option<String>,
    /// Start from a whole segmentor in place of a backbone: a checkpoint or run of finetune semantic, or what `import` made of one of
    /// MMSegmentation. The recipe must describe the same network and the same classes.
    #[arg(long, value_name = "FILE|RUN", conflicts_with_all = ["backbone", "backbone_prefix"])]
    segmentor: Option<PathBuf>,
    #[command(flatten)]
    run: RunArgs,
}

/// Runs the subcommand.
///
/// # Errors
/// Whatever ends the run.
pub fn run(args: Args) -> anyhow::Result<Status> {
    match args.task {
        What::Semantic(args) => run_semantic(args),
        What::Instances(args) => instances::run(args),
    }
}

fn run_semantic(args: SemanticArgs) -> anyhow::Result<Status> {
    let sources = args.sources()?;
    let (mut recipe, options) = match args.run.prepare::<SemanticRecipe>()? {
        Prepared::Train { recipe, options } => (recipe, options),
        Prepared::Done(code) => return Ok(code),
    };
    // The checkpoint should know its classes and their colours by itself.
    if let Some(recipe) = &mut recipe {
        let (own, found) = (&mut recipe.data, &sources.classes);
        if own.classes.is_empty() {
            own.classes.clone_from(&found.classes);
        }
        if own.palette.is_empty() {
            own.palette = found.palette.clone().unwrap_or_default();
            own.palette.truncate(found.classes.len());
        }
    }
    let outcome = train::<SemanticSegmentation>(recipe, &sources, &options);
    let write = |directory: RunDirectory, path: &Path, device| {
        let options = semantic::Options {
            pairs: sources.val.clone(),
            classes: Some(sources.classes.clone()),
            device,
        };
        semantic::write_report(directory, path, &options)
    };
    report::of_run(outcome, &options, &write)
}

impl SemanticArgs {
    fn sources(&self) -> anyhow::Result<Sources> {
        // Fine-tuning learns the classes that Cityscapes itself measures.
        let layout = self
            .layout
            .to_learn(self.data.as_deref().unwrap_or(Path::new("")));
        let (splits, folders) = match (&self.data, &self.images, &self.labels) {
            (Some(root), ..) => (Splits::open(root, layout)?, vec![root.clone()]),
            (None, Some(images), Some(labels)) => {
                let val = match (&self.val_images, &self.val_labels) {
                    (Some(images), Some(labels)) => pairs(images, labels, layout, None)?,
                    _ => Pairs::default(),
                };
                let splits = Splits::of(pairs(images, labels, layout, None)?, val);
                (splits, vec![images.clone(), labels.clone()])
            }
            _ => bail!("give --data DIR, or --images DIR and --labels DIR"),
        };
        for note in &splits.notes {
            eprintln!("note: {note}");
        }
        let start = match (&self.segmentor, &self.backbone) {
            (Some(path), _) => Start::Segmentor {
                path: weights_of(path)?,
            },
            (None, Some(path)) if path.as_os_str() != "none" => Start::Backbone {
                path: weights_of(path)?,
                prefix: self.backbone_prefix.clone(),
            },
            _ => Start::Scratch,
        };
        Ok(Sources {
            train: spread(splits.train, self.limit),
            val: splits.val,
            classes: classes(layout, self.classes.as_ref(), self.data.as_ref())?,
            folders,
            left_out: splits.left_out,
            start,
        })
    }
}

/// The classes of a labelled set: of `file`, of the layout, or of `classes.json` in its folder.
///
/// # Errors
/// A file that cannot be used, or that is needed and not there.
pub fn classes(
    layout: LabelLayout,
    file: Option<&PathBuf>,
    root: Option<&PathBuf>,
) -> anyhow::Result<Classes> {
    if let Some(file) = file {
        return Ok(Classes::open(file)?);
    }
    if let Some(published) = layout.classes() {
        return Ok(published);
    }
    let beside = root
        .map(|root| root.join("classes.json"))
        .filter(|file| file.is_file());
    match beside {
        Some(file) => Ok(Classes::open(&file)?),
        None => bail!(
            "--layout {layout} needs --classes FILE: {{\"classes\": [\"sky\", …], \"ignore_index\": 255}}"
        ),
    }
}

/// `limit` of `all`, evenly spread.
fn spread(all: Vec<Pair>, limit: Option<u32>) -> Vec<Pair> {
    match limit {
        Some(limit) => evenly(all.len(), limit as usize)
            .map(|i| all[i].clone())
            .collect(),
        None => all,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_takes_pictures_from_all_over_the_set() {
        let pair = |i: usize| Pair {
            picture: format!("{i}").into(),
            labels: format!("{i}").into(),
        };
        let all = Vec::from_iter((0..10).map(pair));
        assert_eq!(spread(all.clone(), Some(3)), [pair(0), pair(3), pair(6)]);
        assert_eq!(spread(all.clone(), Some(10)), all);
        assert_eq!(spread(all.clone(), None), all);
    }
}
