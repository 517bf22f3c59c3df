//! COCO's average precision and recall of boxes and masks, number for number as pycocotools computes them: a face of the crate
//! `hotcoco`, which is held to recorded values of pycocotools.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hotcoco::params::IouType;
use hotcoco::types::Annotation;
use hotcoco::{COCO, COCOeval};
use serde::{Deserialize, Serialize, Serializer};
use slotcon_data::annotations::{Category, Groups, merged_categories, merged_classes};

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CocoKind {
    /// Boxes; an object's size is that of its box.
    Bbox,
    /// Masks; an object's size is its pixels.
    Segm,
}

impl CocoKind {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Bbox, Self::Segm];

    /// Its name in COCO's files and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bbox => "bbox",
            Self::Segm => "segm",
        }
    }
}

impl std::str::FromStr for CocoKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("'{text}' is no kind of result; there are bbox and segm"))
    }
}

/// Results that cannot be measured; every message names the file.
#[derive(Debug, thiserror::Error)]
#[error("{}: {reason}", path.display())]
pub struct CocoError {
    /// The file.
    pub path: PathBuf,
    /// What is wrong, and what would be right.
    pub reason: String,
}

/// What was measured: each figure from 0 to 1, or -1 where there is no object to measure it on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CocoScore {
    /// COCO's twelve numbers by name: AP, AP50, AP75, APs, APm, APl, AR1, AR10, AR100, ARs, ARm, ARl.
    #[serde(flatten)]
    pub numbers: BTreeMap<&'static str, f64>,
    /// AP of each category by name, in the order of the annotation file; none where it has no object. An object in JSON.
    #[serde(serialize_with = "by_name")]
    pub per_category: Vec<(String, Option<f64>)>,
    /// AP at each threshold of overlap, 0.50 to 0.95.
    pub by_threshold: Vec<Option<f64>>,
    /// What was passed over in the results, in sentences.
    #[serde(skip)]
    pub notes: Vec<String>,
}

/// The twelve numbers in COCO's order.
pub const NUMBERS: [&str; 12] = [
    "AP", "AP50", "AP75", "APs", "APm", "APl", "AR1", "AR10", "AR100", "ARs", "ARm", "ARl",
];

/// A results file that is an object with a list of detections.
#[derive(Deserialize)]
struct Object {
    annotations: Vec<Annotation>,
}

/// Ground truth.
pub struct CocoTruth {
    truth: Arc<COCO>,
}

/// Detections as a results file has them.
#[derive(Debug)]
pub struct CocoResults {
    path: PathBuf,
    detections: Vec<Annotation>,
}

impl CocoResults {
    /// Reads the results file at `path`.
    ///
    /// # Errors
    /// A file that cannot be read or is no results file.
    pub fn open(path: &Path) -> Result<Self, CocoError> {
        let file = File::open(path).map_err(|e| wrong(path, e.to_string()))?;
        Self::read(file, path)
    }

    /// The same from the text of such a file; `path` is what messages name.
    ///
    /// # Errors
    /// Text that is no results file.
    pub fn read(mut text: impl Read, path: &Path) -> Result<Self, CocoError> {
        let mut bytes = Vec::new();
        text.read_to_end(&mut bytes)
            .map_err(|e| wrong(path, e.to_string()))?;
        // A list as a rule. Told apart by the first byte, nothing is read twice.
        let detections = match bytes.iter().find(|byte| !byte.is_ascii_whitespace()) {
            Some(b'[') => serde_json::from_slice(&bytes),
            _ => serde_json::from_slice(&bytes).map(|object: Object| object.annotations),
        };
        let detections = detections.map_err(|e| wrong(path, format!("is no results file of COCO: {e}")))?;
        Ok(Self {
            path: path.into(),
            detections,
        })
    }
}

impl std::fmt::Debug for CocoTruth {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let dataset = &self.truth.dataset;
        write!(
            f,
            "CocoTruth({} objects in {} pictures)",
            dataset.annotations.len(),
            dataset.images.len()
        )
    }
}

impl CocoTruth {
    /// Reads an annotation file.
    ///
    /// # Errors
    /// A file that cannot be read or is no annotation file.
    pub fn open(path: &Path) -> Result<Self, CocoError> {
        let truth =
            COCO::new(path).map_err(|e| wrong(path, format!("is no annotation file of COCO: {e}")))?;
        Ok(Self { truth: truth.into() })
    }

    /// The categories of each group as one, as [`slotcon_data::annotations::Annotations::merge`] makes them of the same file; objects of
    /// categories in no group are nobody's. Without groups the same.
    ///
    /// # Errors
    /// As [`merged_classes`].
    pub fn merged(self, groups: &Groups) -> Result<Self, String> {
        if groups.is_empty() {
            return Ok(self);
        }
        let mut dataset = self.truth.dataset.clone();
        let names = Vec::from_iter(dataset.categories.iter().map(|category| category.name.as_str()));
        let classes = merged_classes(groups, &names)?;
        let ids = dataset.categories.iter().map(|category| category.id);
        let class_of: HashMap<u64, Option<usize>> = ids.zip(classes).collect();
        dataset.annotations.retain_mut(|annotation| {
            let class = class_of.get(&annotation.category_id).copied().flatten();
            annotation.category_id = class.map_or(0, |class| class as u64 + 1);
            class.is_some()
        });
        dataset.categories = merged_categories(groups)
            .into_iter()
            .map(|Category { id, name }| hotcoco::types::Category {
                id: id.unsigned_abs(),
                name,
                supercategory: None,
                skeleton: None,
                keypoints: None,
                frequency: None,
                isthing: None,
                extra: Default::default(),
            })
            .collect();
        Ok(Self {
            truth: COCO::from_dataset(dataset).into(),
        })
    }

    /// Measures `results`. Detections of categories that the truth does not have are passed over and told.
    ///
    /// # Errors
    /// Results with pictures that the truth does not have, scores that are no numbers, or nothing of this kind.
    pub fn measure(&self, results: &CocoResults, kind: CocoKind) -> Result<CocoScore, CocoError> {
        let path = &results.path;
        let mut detections = results.detections.clone();
        let pictures: HashSet<u64> = self
            .truth
            .dataset
            .images
            .iter()
            .map(|picture| picture.id)
            .collect();
        let unknown = |detection: &&Annotation| !pictures.contains(&detection.image_id);
        if let Some(first) = detections.iter().find(unknown) {
            let count = detections.iter().filter(unknown).count();
            return Err(wrong(
                path,
                format!(
                    "{count} of its {} detections are in pictures that the annotations do not have, the first in picture {}: are \
                     they of the same set?",
                    detections.len(),
                    first.image_id
                ),
            ));
        }
        let mut notes = Vec::new();
        let categories: HashSet<u64> = self.truth.dataset.categories.iter().map(|c| c.id).collect();
        let before = detections.len();
        let strange = detections
            .iter()
            .find(|d| !categories.contains(&d.category_id))
            .map(|d| d.category_id);
        detections.retain(|detection| categories.contains(&detection.category_id));
        if let Some(first) = strange {
            notes.push(format!(
                "{} of {before} detections are of categories that the annotations do not have (the first: {first}) and are passed over",
                before - detections.len()
            ));
        }
        for (number, detection) in detections.iter_mut().enumerate() {
            let missing = match kind {
                CocoKind::Bbox => detection.bbox.is_none().then_some("bbox"),
                CocoKind::Segm => detection.segmentation.is_none().then_some("segmentation"),
            };
            let missing = missing.or(detection.score.is_none_or(f64::is_nan).then_some("score"));
            if let Some(key) = missing {
                return Err(wrong(
                    path,
                    format!(
                        "detection {number} (picture {}) has no usable \"{key}\"",
                        detection.image_id
                    ),
                ));
            }
            // With a box, sizes would be those of boxes.
            if kind == CocoKind::Segm {
                detection.bbox = None;
            }
        }
        let hot = |e: hotcoco::error::Error| wrong(path, e.to_string());
        let found = self.truth.load_res_anns(detections).map_err(hot)?;
        let iou = match kind {
            CocoKind::Bbox => IouType::Bbox,
            CocoKind::Segm => IouType::Segm,
        };
        let mut eval = COCOeval::new(Arc::clone(&self.truth), found, iou);
        eval.evaluate().map_err(hot)?;
        eval.accumulate();
        // Fills the twelve numbers; the lines themselves are for people.
        let _ = eval.summarize_lines();
        Ok(self.score(&eval, notes))
    }

    fn score(&self, eval: &COCOeval, notes: Vec<String>) -> CocoScore {
        let found = eval.get_results(None, false);
        let numbers = NUMBERS.map(|name| (name, found.get(name).copied().unwrap_or(-1.0)));
        let mut by_threshold = Vec::new();
        let mut of_category: BTreeMap<u64, f64> = BTreeMap::new();
        if let Some(all) = eval.accumulated() {
            let shape = &all.shape;
            let at = |t: usize, k: usize| {
                (0..shape.r).map(move |r| all.precision[all.precision_idx(t, r, k, 0, shape.m - 1)])
            };
            by_threshold = (0..shape.t)
                .map(|t| mean((0..shape.k).flat_map(|k| at(t, k))))
                .collect();
            for (k, id) in all.cat_ids.iter().enumerate() {
                if let Some(value) = mean((0..shape.t).flat_map(|t| at(t, k))) {
                    of_category.insert(*id, value);
                }
            }
        }
        let categories = self.truth.dataset.categories.iter();
        CocoScore {
            numbers: numbers.into_iter().collect(),
            per_category: categories
                .map(|c| (c.name.clone(), of_category.get(&c.id).copied()))
                .collect(),
            by_threshold,
            notes,
        }
    }
}

impl CocoScore {
    /// One of [`NUMBERS`].
    pub fn number(&self, name: &str) -> f64 {
        self.numbers.get(name).copied().unwrap_or(-1.0)
    }
}

/// Every kind of `kinds` in turn.
///
/// # Errors
/// As [`CocoTruth::measure`].
pub fn measure_all(
    truth: &CocoTruth,
    results: &CocoResults,
    kinds: impl IntoIterator<Item = CocoKind>,
) -> Result<Vec<(CocoKind, CocoScore)>, CocoError> {
    let measured = |kind| Ok((kind, truth.measure(results, kind)?));
    kinds.into_iter().map(measured).collect()
}

fn wrong(path: &Path, reason: impl Into<String>) -> CocoError {
    CocoError {
        path: path.into(),
        reason: reason.into(),
    }
}

/// Pairs as an object.
fn by_name<S: Serializer>(pairs: &[(String, Option<f64>)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(pairs.iter().map(|(name, value)| (name, value)))
}

/// The mean of what is measured; -1 stands for what is not.
fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values
        .filter(|value| *value > -1.0)
        .fold((0.0, 0usize), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / count as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// One picture, number 3, with one object of category 7.
    fn truth(folder: &Path) -> CocoTruth {
        let path = folder.join("truth.json");
        let outline = json!([[1, 2, 11, 2, 11, 7, 1, 7]]);
        let text = json!({
            "images": [{"id": 3, "file_name": "a.png", "width": 40, "height": 30}],
            "categories": [{"id": 7, "name": "dog"}, {"id": 9, "name": "cat"}],
            "annotations": [{"id": 1, "image_id": 3, "category_id": 7, "iscrowd": 0, "area": 50,
                "bbox": [1, 2, 10, 5], "segmentation": outline}],
        });
        std::fs::write(&path, text.to_string()).unwrap();
        CocoTruth::open(&path).unwrap()
    }

    fn detection(change: impl Fn(&mut Value)) -> Value {
        let mut value = json!({"image_id": 3, "category_id": 7, "score": 0.5, "bbox": [1, 2, 10, 5]});
        change(&mut value);
        value
    }

    fn measured(detections: &[Value]) -> Result<CocoScore, CocoError> {
        let folder = tempfile::tempdir().unwrap();
        let text = Value::from(detections).to_string();
        let results = CocoResults::read(text.as_bytes(), Path::new("found.json"))?;
        truth(folder.path()).measure(&results, CocoKind::Bbox)
    }

    #[test]
    fn what_results_have_too_much_is_passed_over_and_told() {
        let strange = detection(|d| d["category_id"] = 8.into());
        let score = measured(&[detection(|_| ()), strange.clone(), strange]).unwrap();
        assert!(score.number("AP") > 1.0 - 1e-9);
        assert_eq!(score.notes.len(), 1);
        assert!(
            score.notes[0].contains("2 of 3 detections") && score.notes[0].contains("the first: 8"),
            "{:?}",
            score.notes
        );
        // A category without an object has no figure.
        let known = score
            .per_category
            .iter()
            .map(|(name, ap)| (name.as_str(), ap.is_some()));
        assert_eq!(Vec::from_iter(known), [("dog", true), ("cat", false)]);
    }

    #[test]
    fn results_of_something_else_are_an_error_with_file_and_value() {
        for (change, words) in [
            (
                (|d: &mut Value| d["image_id"] = 4.into()) as fn(&mut Value),
                "picture 4",
            ),
            (|d| d["score"] = Value::Null, "no usable \"score\""),
            (|d| d["bbox"] = Value::Null, "no usable \"bbox\""),
            (|d| d["image_id"] = "x".into(), "no results file"),
        ] {
            let said = measured(&[detection(change)]).unwrap_err().to_string();
            assert!(said.contains(words) && said.contains("found.json"), "{said}");
        }
    }

    #[test]
    fn merged_categories_are_measured_as_one() {
        let folder = tempfile::tempdir().unwrap();
        let groups = |name: &str| Groups::from([("pet".to_owned(), vec![name.to_owned()])]);
        let found = Value::from(vec![detection(|d| d["category_id"] = 1.into())]).to_string();
        let results = CocoResults::read(found.as_bytes(), Path::new("found.json")).unwrap();
        let measured = |name: &str| {
            let truth = truth(folder.path()).merged(&groups(name)).unwrap();
            truth.measure(&results, CocoKind::Bbox).unwrap()
        };
        assert!(measured("dog").number("AP") > 1.0 - 1e-9);
        // There is no cat to be found.
        assert_eq!(measured("cat").number("AP"), -1.0);
        assert_eq!(measured("cat").per_category, [("pet".to_owned(), None)]);
        assert!(
            truth(folder.path())
                .merged(&groups("horse"))
                .unwrap_err()
                .contains("'horse'")
        );
    }

    #[test]
    fn nothing_found_is_worth_nothing() {
        let score = measured(&[]).unwrap();
        assert_eq!([score.number("AP"), score.number("AR100")], [0.0; 2]);
    }
}
