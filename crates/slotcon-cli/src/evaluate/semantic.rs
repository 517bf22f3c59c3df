//! `slotcon evaluate semantic`: a fine-tuned network on labelled pictures.

use std::path::{Path, PathBuf};

use anyhow::bail;
use serde_json::{Map, Value, json};
use slotcon_data::labelled::{ClassTable, LabelLayout, NameList, Pairs, Splits, pairs};
use slotcon_eval::ProgressSink;
use slotcon_torch::distributed::Ranks;
use slotcon_train::device;
use slotcon_transfer::semantic::{FineTuned, check_labels, measure};

use crate::arguments::{DeviceArg, JsonArg, OrientationArg, say_orientation, weights_of};
use crate::finetune::classes;
use crate::progress_bar::PictureBar;
use crate::status::Status;

/// Semantic segmentation: the class of every pixel against label maps, by mean intersection over union and accuracy.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A checkpoint of finetune semantic, or its run directory (its best checkpoint, else its last).
    #[arg(long, value_name = "FILE|RUN")]
    checkpoint: PathBuf,
    /// Folder of the labelled set, of which the pictures kept for measuring are taken (val, validation).
    #[arg(long, value_name = "DIR", required_unless_present = "images")]
    data: Option<PathBuf>,
    /// As for finetune semantic.
    #[arg(long, default_value = "index", value_name = "NAME")]
    layout: LabelLayout,
    /// Folder of pictures, in place of --data; with --labels.
    #[arg(long, value_name = "DIR", requires = "labels", conflicts_with = "data")]
    images: Option<PathBuf>,
    /// Folder of their label maps.
    #[arg(long, value_name = "DIR", requires = "images")]
    labels: Option<PathBuf>,
    /// Classes of the label maps; they must be those of the checkpoint.
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Measure only the pictures that this file names, one a line without ending; with --images.
    #[arg(long, value_name = "FILE", requires = "images")]
    list: Option<PathBuf>,
    /// Factors of the size at which pictures are seen; probabilities are averaged over them. The published protocol has 1 only.
    #[arg(long, value_name = "FACTOR,...", value_delimiter = ',', default_value = "1")]
    scales: Vec<f64>,
    /// See the mirrored picture as well.
    #[arg(long)]
    mirror: bool,
    #[command(flatten)]
    orientation: OrientationArg,
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
    let layout = args
        .layout
        .to_learn(args.data.as_deref().unwrap_or(Path::new("")));
    let of_data = classes(layout, args.classes.as_ref(), args.data.as_ref())?;
    if of_data.classes != network.classes() {
        bail!(
            "{} knows {} classes ({}), the label maps have {} ({})",
            args.checkpoint.display(),
            network.classes().len(),
            network.classes().join(", "),
            of_data.classes.len(),
            of_data.classes.join(", ")
        );
    }
    if let Some(wrong) = args
        .scales
        .iter()
        .find(|scale| !(**scale > 0.0 && scale.is_finite()))
    {
        bail!("--scales: {wrong} is no factor; expected numbers above 0, e.g. 0.75,1,1.25");
    }
    let Pairs { all: pairs, left_out } = match (&args.data, &args.images, &args.labels) {
        (Some(root), ..) => {
            let splits = Splits::open(root, layout)?;
            if splits.val.is_empty() {
                bail!(
                    "{}: has no pictures to measure on; name them with --images and --labels",
                    root.display()
                );
            }
            Pairs {
                all: splits.val,
                left_out: splits.left_out,
            }
        }
        (None, Some(images), Some(labels)) => {
            let list = args.list.as_deref().map(NameList::open).transpose()?;
            pairs(images, labels, layout, list.as_ref())?
        }
        _ => bail!("give --data DIR, or --images DIR and --labels DIR"),
    };
    left_out.iter().for_each(|line| eprintln!("{line}"));
    let table = ClassTable::new(&of_data).map_err(anyhow::Error::msg)?;
    let summary = check_labels(&pairs, &table)?;
    if let Some(sizes) = summary.sizes() {
        eprintln!("{sizes}");
    }
    let mut evaluator = network.evaluator();
    evaluator.scales = args.scales.clone();
    evaluator.mirror = args.mirror;
    evaluator.decode.exif_orientation |= args.orientation.exif_orientation;

    let mut bar = PictureBar::default();
    bar.begin("measuring", pairs.len());
    let measured = measure(&evaluator, &pairs, &table, &Ranks::alone(), |_| bar.done())?;
    bar.finish();
    say_orientation();
    let score = measured.score()?;
    let protocol = evaluator.protocol();
    let percent = |x: Option<f64>| x.map_or("-".into(), |x| format!("{:.2}", 100.0 * x));
    let mut text = format!(
        "protocol: {protocol}\n{} pictures, {:.1} % of the pixels are ignored\n\n{:<24}{:>10}{:>12}\n",
        pairs.len(),
        100.0 * summary.ignored_share(),
        "class",
        "IoU, %",
        "accuracy, %"
    );
    for (class, name) in network.classes().iter().enumerate() {
        let (iou, accuracy) = (percent(score.iou[class]), percent(score.accuracy[class]));
        text += &format!("{name:<24}{iou:>10}{accuracy:>12}\n");
    }
    text += &format!(
        "\nmIoU {} %, pixel accuracy {} %, mean accuracy {} %\n",
        percent(Some(score.miou)),
        percent(Some(score.pixel_accuracy)),
        percent(Some(score.mean_accuracy))
    );
    for bad in &measured.bad {
        eprintln!("warning: left out: {bad}");
    }
    if args.output.json {
        let by_class = |values: &[Option<f64>]| -> Map<String, Value> {
            let named = network.classes().iter().zip(values);
            named.map(|(name, value)| (name.clone(), json!(value))).collect()
        };
        eprint!("{text}");
        out!(
            "{}",
            json!({
                "miou": score.miou,
                "pixel_accuracy": score.pixel_accuracy,
                "mean_accuracy": score.mean_accuracy,
                "iou": by_class(&score.iou),
                "accuracy": by_class(&score.accuracy),
                "ignored": summary.ignored_share(),
                "pictures": pairs.len() - measured.bad.len(),
                "protocol": protocol,
            })
        );
    } else {
        print!("{text}");
    }
    Ok(match measured.bad.len() {
        0 => Status::DONE,
        _ => Status::FAILED,
    })
}
