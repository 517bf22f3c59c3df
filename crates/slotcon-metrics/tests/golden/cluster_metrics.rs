//! Golden values of SciPy's assignment and of the scores that follow: every case of every `cluster_metrics*.json`.

use std::error::Error;
use std::path::Path;

use libtest_mimic::{Failed, Trial};
use safetensors::SafeTensors;
use serde::Deserialize;
use slotcon_golden as golden;
use slotcon_metrics::{ClusterScore, Confusion, Matching};

use super::support::{IGNORE, check, maps, near};

const TOLERANCE: f64 = 1e-12;

#[derive(Deserialize)]
struct Case {
    classes: usize,
    clusters: usize,
    images: usize,
    assignment: Vec<(usize, usize)>,
    iou: Vec<Option<f64>>,
    miou: f64,
    pixel_accuracy: f64,
}

/// One test a case.
pub fn trials(record: &golden::Case) -> Result<Vec<Trial>, Box<dyn Error>> {
    let cases: Vec<Case> = serde_json::from_slice(&std::fs::read(&record.file)?)?;
    let mut trials = Vec::new();
    for (index, case) in cases.into_iter().enumerate() {
        let tensors = record.with_ending("safetensors");
        let name = format!(
            "{}::case{index} ({} classes, {} clusters)",
            record.name(),
            case.classes,
            case.clusters
        );
        trials.push(Trial::test(name, move || run(&case, index, &tensors)));
    }
    Ok(trials)
}

fn run(case: &Case, index: usize, tensors: &Path) -> Result<(), Failed> {
    let bytes = std::fs::read(tensors)?;
    let file = SafeTensors::deserialize(&bytes)?;
    let label = maps(&file, &format!("case{index}.label"))?;
    let prediction = maps(&file, &format!("case{index}.prediction"))?;
    check(label.len() == case.images, || {
        format!("{} maps for {} images", label.len(), case.images)
    })?;

    let mut confusion = Confusion::new(case.classes, case.clusters, IGNORE);
    for (label, prediction) in label.iter().zip(&prediction) {
        confusion.add(label, prediction)?;
    }
    let score = ClusterScore::of(&confusion, Matching::Hungarian)?;

    // Pairs without a common pixel are arbitrary where several are left over.
    let sure = |pairs: &[(usize, usize)]| -> Vec<(usize, usize)> {
        pairs
            .iter()
            .copied()
            .filter(|&(class, cluster)| confusion.count(class, cluster) > 0)
            .collect()
    };
    let ours = score.assignment.pairs();
    check(ours.len() == case.assignment.len(), || {
        format!("{ours:?} for {:?}", case.assignment)
    })?;
    check(sure(&ours) == sure(&case.assignment), || {
        format!("{ours:?} for {:?}", case.assignment)
    })?;

    near("IoU", &score.iou, &case.iou, TOLERANCE)?;
    near("mIoU", &[Some(score.miou)], &[Some(case.miou)], TOLERANCE)?;
    near(
        "pixel accuracy",
        &[Some(score.pixel_accuracy)],
        &[Some(case.pixel_accuracy)],
        TOLERANCE,
    )
}
