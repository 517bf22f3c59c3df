//! What detections on pictures kept for measuring are worth, as the run says it.

use std::path::Path;

use serde_json::{Map, Value};
use slotcon_metrics::coco::{CocoKind, CocoResults, CocoTruth, NUMBERS, measure_all};
use slotcon_train::Numbers;
use slotcon_train::task::Validation;

use super::evaluate::Detected;
use crate::error::TransferError;

/// COCO's twelve numbers of boxes and of masks in the groups `bbox` and `segm`, without those for which there is no object; the
/// average precision of masks is what checkpoints are compared by. The details are what `evaluate coco --json` says.
///
/// # Errors
/// Detections that are not finite.
pub(super) fn validation(truth: &CocoTruth, detected: &Detected) -> Result<Validation, TransferError> {
    let text = serde_json::to_vec(&detected.results)?;
    let results = CocoResults::read(&text[..], Path::new("the detections"))?;
    let found = measure_all(truth, &results, CocoKind::ALL)?;
    let mut numbers = Numbers::new();
    let mut details = Map::new();
    let mut score = f64::NAN;
    for (kind, measured) in &found {
        let figures = NUMBERS.map(|name| (name, measured.number(name)));
        let known = figures.iter().filter(|(_, value)| *value >= 0.0);
        numbers.extend(known.map(|(name, value)| (format!("{}/{name}", kind.name()).into(), *value)));
        details.insert(kind.name().to_owned(), serde_json::to_value(measured)?);
        if *kind == CocoKind::Segm {
            score = measured.number("AP");
        }
    }
    let bad = detected.bad.iter();
    Ok(Validation {
        numbers,
        score,
        details: Some(Value::Object(details).to_string()),
        warnings: bad.map(|bad| format!("left out of measuring: {bad}")).collect(),
    })
}
