//! `slotcon evaluate instances`: a fine-tuned detector on annotated pictures.

use std::path::PathBuf;

use anyhow::bail;
use slotcon_eval::ProgressSink;
use slotcon_metrics::coco::{CocoKind, CocoResults, measure_all};
use slotcon_torch::distributed::Ranks;
use slotcon_train::device;
use slotcon_transfer::instances::{AnnotationFile, FineTuned, detect_all};
use slotcon_weights::atomic_file::write_bytes;

use super::coco::say;
use crate::arguments::{DeviceArg, JsonArg, weights_of};
use crate::finetune::part_of;
use crate::progress_bar::PictureBar;
use crate::status::Status;

/// Detection and instance segmentation: COCO's twelve numbers for boxes and for masks, and the average precision of every class.
///
/// A checkpoint whose recipe merges categories (data.merge) is measured by the merged ones, and the results carry their numbers: 1, 2, … in
/// the order of data.classes.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint of finetune instances or of import, or a run directory (its best checkpoint, else its last).
    #[arg(long, value_name = "FILE|RUN")]
    checkpoint: PathBuf,
    /// Folder of a set in COCO's layout: annotations/instances_NAME.json and a folder NAME of pictures, NAME as --val says.
    #[arg(long, value_name = "DIR", required_unless_present = "annotations")]
    data: Option<PathBuf>,
    /// The part of it to measure on.
    #[arg(
        long,
        value_name = "NAME",
        default_value = "val2017",
        conflicts_with = "annotations"
    )]
    val: String,
    /// An annotation file of COCO's format, in place of --data; with --images.
    #[arg(long, value_name = "FILE", requires = "images", conflicts_with = "data")]
    annotations: Option<PathBuf>,
    /// The folder of its pictures.
    #[arg(long, value_name = "DIR", requires = "annotations")]
    images: Option<PathBuf>,
    /// Where to write the detections as COCO's results JSON (boxes and masks) [default: results.json].
    #[arg(long, value_name = "FILE", default_value = "results.json")]
    results: PathBuf,
    #[command(flatten)]
    device: DeviceArg,
    #[command(flatten)]
    output: JsonArg,
}

/// Runs the subcommand.
///
/// # Errors
/// A file that cannot be used; classes other than the checkpoint's.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let device = device::parse(&args.device.asked)?;
    let network = FineTuned::open(&weights_of(&args.checkpoint)?, device)?;
    let (file, images) = match (&args.data, &args.annotations, &args.images) {
        (None, Some(file), Some(images)) => (file.clone(), images.clone()),
        (Some(root), ..) => part_of(root, &args.val),
        _ => bail!("give --data DIR, or --annotations FILE and --images DIR"),
    };
    let groups = &network.recipe().data.merge;
    let file = AnnotationFile::open(file, &images)?.merged(groups)?;
    let annotations = &file.annotations;
    let ids = Vec::from_iter(annotations.categories.iter().map(|category| category.id));
    if annotations.names() != network.classes() {
        bail!(
            "{} knows {} classes ({}), {} has {} ({})",
            args.checkpoint.display(),
            network.classes().len(),
            network.classes().join(", "),
            file.path.display(),
            ids.len(),
            annotations.names().join(", ")
        );
    }
    for sentence in annotations.left_out.sentences() {
        eprintln!("note: {sentence}");
    }
    let detector = network.detector();
    let mut bar = PictureBar::default();
    bar.begin("detecting", annotations.pictures.len());
    let detected = detect_all(&detector, &annotations.pictures, &ids, &Ranks::alone(), |_| {
        bar.done()
    })?;
    bar.finish();
    for bad in &detected.bad {
        eprintln!("warning: left out: {bad}");
    }
    write_bytes(&args.results, &serde_json::to_vec(&detected.results)?)?;
    eprintln!(
        "{} detections: {}",
        detected.results.len(),
        args.results.display()
    );
    let truth = file.truth(groups)?;
    let results = CocoResults::open(&args.results)?;
    let found = measure_all(&truth, &results, CocoKind::ALL)?;
    let protocol = detector.protocol();
    eprintln!("{protocol}");
    let about = serde_json::Map::from_iter([("protocol".to_owned(), protocol.into())]);
    say(&found, about, args.output)?;
    Ok(match detected.bad.len() {
        0 => Status::DONE,
        _ => Status::FAILED,
    })
}
