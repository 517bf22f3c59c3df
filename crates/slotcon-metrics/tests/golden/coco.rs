//! pycocotools' numbers: every `coco_eval*` case of the folder `transfer`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};

use libtest_mimic::{Failed, Trial};
use serde::Deserialize;
use slotcon_golden as golden;
use slotcon_metrics::coco::{CocoKind, CocoResults, CocoTruth, NUMBERS};

use super::support::{check, near};

const TOLERANCE: f64 = 1e-9;

#[derive(Deserialize)]
struct Record {
    annotations: String,
    bbox: Numbers,
    segm: Numbers,
}

#[derive(Deserialize)]
struct Numbers {
    stats: BTreeMap<String, f64>,
    #[serde(rename = "per_category_AP")]
    per_category: BTreeMap<String, Option<f64>>,
    #[serde(rename = "AP_by_threshold")]
    by_threshold: Option<Vec<Option<f64>>>,
}

/// Both kinds of a case; a record whose annotation file is not there is an error of the case.
pub fn trials(case: &golden::Case) -> Result<Vec<Trial>, Box<dyn Error>> {
    // Results lie beside the records under a name of the same beginning.
    if case.stem.contains('.') {
        return Ok(Vec::new());
    }
    let trial = |kind: CocoKind| {
        let case = case.clone();
        Trial::test(format!("{}::{}", case.name(), kind.name()), move || {
            compare(&case, kind)
        })
    };
    Ok(CocoKind::ALL.map(trial).into())
}

/// The annotation file: beside the record, else in `data/coco/annotations` near the fixtures or in the folder of pictures.
fn annotations(case: &golden::Case, name: &str) -> Result<PathBuf, Failed> {
    let beside = case.file.with_file_name(name);
    let near = case
        .file
        .ancestors()
        .map(|folder| folder.join("data/coco/annotations").join(name));
    let data =
        std::env::var_os("SLOTCON_DATA").map(|data| Path::new(&data).join("coco/annotations").join(name));
    let found = std::iter::once(beside)
        .chain(near)
        .chain(data)
        .find(|file| file.is_file());
    found.ok_or_else(|| format!("{name} is neither beside the record nor in data/coco/annotations").into())
}

fn compare(case: &golden::Case, kind: CocoKind) -> Result<(), Failed> {
    let record: Record = serde_json::from_slice(&std::fs::read(&case.file)?)?;
    let truth = CocoTruth::open(&annotations(case, &record.annotations)?)?;
    let got = truth.measure(&CocoResults::open(&case.with_ending("results.json"))?, kind)?;
    let expected = match kind {
        CocoKind::Bbox => record.bbox,
        CocoKind::Segm => record.segm,
    };
    check(expected.stats.len() == NUMBERS.len(), || {
        format!("{} numbers", expected.stats.len())
    })?;
    for (name, value) in &expected.stats {
        near(name, &[Some(got.number(name))], &[Some(*value)], TOLERANCE)?;
    }
    let per_category: BTreeMap<String, Option<f64>> = got.per_category.iter().cloned().collect();
    for (name, value) in &expected.per_category {
        let ours = per_category.get(name).copied().flatten();
        near(name, &[ours], &[*value], TOLERANCE)?;
    }
    if let Some(by_threshold) = &expected.by_threshold {
        near("AP by threshold", &got.by_threshold, by_threshold, TOLERANCE)?;
    }
    Ok(())
}
