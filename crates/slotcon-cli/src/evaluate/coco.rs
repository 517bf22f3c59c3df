//! `slotcon evaluate coco`: anybody's detections against COCO annotations.

use std::path::PathBuf;

use serde_json::{Map, Value};
use slotcon_metrics::coco::{CocoKind, CocoResults, CocoScore, CocoTruth, NUMBERS, measure_all};

use crate::arguments::JsonArg;
use crate::status::Status;

/// COCO's twelve numbers and the average precision of every category, of a results file in COCO's format, as pycocotools gives
/// them.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The annotation file.
    #[arg(long, value_name = "FILE")]
    annotations: PathBuf,
    /// The results: a JSON list of image_id, category_id, score, and bbox or segmentation.
    #[arg(long, value_name = "FILE")]
    results: PathBuf,
    /// bbox or segm; without it both.
    #[arg(long, value_name = "KIND")]
    kind: Option<CocoKind>,
    #[command(flatten)]
    output: JsonArg,
}

/// Runs the subcommand.
///
/// # Errors
/// A file that cannot be used.
pub fn run(args: &Args) -> anyhow::Result<Status> {
    let truth = CocoTruth::open(&args.annotations)?;
    let results = CocoResults::open(&args.results)?;
    let kinds = CocoKind::ALL.into_iter();
    let wanted = kinds.filter(|kind| args.kind.is_none_or(|wanted| wanted == *kind));
    let found = measure_all(&truth, &results, wanted)?;
    say(&found, Map::new(), args.output)
}

/// Prints what was measured; with `--json` as an object, `about` first.
///
/// # Errors
/// None that a score can cause.
pub fn say(
    found: &[(CocoKind, CocoScore)],
    mut about: Map<String, Value>,
    output: JsonArg,
) -> anyhow::Result<Status> {
    for note in found.first().iter().flat_map(|(_, score)| &score.notes) {
        eprintln!("warning: {note}");
    }
    if output.json {
        for (kind, score) in found {
            about.insert(kind.name().to_owned(), serde_json::to_value(score)?);
        }
        out!("{}", Value::Object(about));
        return Ok(Status::DONE);
    }
    for (kind, score) in found {
        let numbers = NUMBERS.map(|name| format!("{name} {}", percent(Some(score.number(name)))));
        out!("{}: {}", kind.name(), numbers.join("  "));
        for (name, ap) in &score.per_category {
            out!("  {name:<24} {}", percent(*ap));
        }
    }
    Ok(Status::DONE)
}

/// A figure in per cent; a dash where there is no object to measure it on.
fn percent(value: Option<f64>) -> String {
    match value {
        Some(value) if value >= 0.0 => format!("{:.1}", 100.0 * value),
        _ => "-".to_owned(),
    }
}
