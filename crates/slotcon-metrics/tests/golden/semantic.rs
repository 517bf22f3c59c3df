//! Golden values of MMSegmentation's mIoU metric: the part `miou` of every `ops*.json` in the folder `transfer`.

use std::error::Error;
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use safetensors::SafeTensors;
use serde::Deserialize;
use slotcon_golden as golden;
use slotcon_metrics::{Confusion, SemanticScore};

use super::support::{IGNORE, check, maps, near};

/// The engine divides and averages in float32.
const TOLERANCE: f64 = 1e-7;

/// A record of single operations; those without this one say nothing about it.
#[derive(Deserialize)]
struct Record {
    miou: Option<Case>,
}

#[derive(Deserialize)]
struct Case {
    classes: usize,
    #[serde(rename = "aAcc")]
    pixel_accuracy: f64,
    #[serde(rename = "IoU")]
    iou: Vec<Option<f64>>,
    #[serde(rename = "Acc")]
    accuracy: Vec<Option<f64>>,
    #[serde(rename = "mIoU")]
    miou: f64,
    #[serde(rename = "mAcc")]
    mean_accuracy: Option<f64>,
}

/// One test a record that holds the metric.
pub fn trials(record: &golden::Case) -> Result<Vec<Trial>, Box<dyn Error>> {
    let Record { miou } = serde_json::from_slice(&std::fs::read(&record.file)?)?;
    let mut trials = Vec::new();
    if let Some(case) = miou {
        let tensors = record.with_ending("safetensors");
        let name = format!("{}::miou ({} classes)", record.name(), case.classes);
        trials.push(Trial::test(name, move || run(&case, &tensors)));
    }
    Ok(trials)
}

fn run(case: &Case, tensors: &Path) -> Result<(), Failed> {
    let bytes = std::fs::read(tensors)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let labels = maps(&file, "miou.labels")?;
    let prediction = maps(&file, "miou.prediction")?;
    check(labels.len() == prediction.len() && !labels.is_empty(), || {
        format!("{} label maps, {} predictions", labels.len(), prediction.len())
    })?;
    let mut confusion = Confusion::new(case.classes, case.classes, IGNORE);
    for (labels, prediction) in labels.iter().zip(&prediction) {
        confusion.add(labels, prediction)?;
    }
    let score = SemanticScore::of(&confusion)?;
    near("IoU", &score.iou, &case.iou, TOLERANCE)?;
    near("Acc", &score.accuracy, &case.accuracy, TOLERANCE)?;
    near("mIoU", &[Some(score.miou)], &[Some(case.miou)], TOLERANCE)?;
    near(
        "aAcc",
        &[Some(score.pixel_accuracy)],
        &[Some(case.pixel_accuracy)],
        TOLERANCE,
    )?;
    // A record without mAcc still tells it: the mean of what it has by class.
    let by_class: Vec<f64> = case.accuracy.iter().copied().flatten().collect();
    let expected = case
        .mean_accuracy
        .unwrap_or(by_class.iter().sum::<f64>() / by_class.len() as f64);
    near("mAcc", &[Some(score.mean_accuracy)], &[Some(expected)], TOLERANCE)
}
