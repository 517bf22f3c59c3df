//! The annotated pictures of a run.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use slotcon_data::Dataset;
use slotcon_data::annotations::{AnnotatedPicture, Annotations, Category, Groups};
use slotcon_metrics::coco::CocoTruth;

use super::recipe::InstancesRecipe;
use super::start::Start;
use crate::error::TransferError;

/// An annotation file that has been read.
#[derive(Debug, Clone)]
pub struct AnnotationFile {
    /// Where it lies.
    pub path: PathBuf,
    /// What it holds.
    pub annotations: Annotations,
}

impl AnnotationFile {
    /// Reads the file at `path`, whose pictures lie below `folder`.
    ///
    /// # Errors
    /// As [`Annotations::open`].
    pub fn open(path: PathBuf, folder: &Path) -> Result<Self, TransferError> {
        let annotations = Annotations::open(&path, folder)?;
        Ok(Self { path, annotations })
    }

    /// The same with the categories of each group as one class.
    ///
    /// # Errors
    /// A group with a category that it does not have.
    pub fn merged(&self, groups: &Groups) -> Result<Self, TransferError> {
        let mut merged = self.clone();
        let reason = |reason| wrong_merge(&self.path, reason);
        merged.annotations.merge(groups).map_err(reason)?;
        Ok(merged)
    }

    /// All that the file says, to measure on, with the same classes.
    ///
    /// # Errors
    /// A file that cannot be measured on; a group with a category that it does not have.
    pub fn truth(&self, groups: &Groups) -> Result<CocoTruth, TransferError> {
        let reason = |reason| wrong_merge(&self.path, reason);
        CocoTruth::open(&self.path)?.merged(groups).map_err(reason)
    }
}

fn wrong_merge(path: &Path, reason: String) -> TransferError {
    TransferError::Merge {
        path: path.into(),
        reason,
    }
}

/// What a run learns from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// To learn from.
    pub train: AnnotationFile,
    /// To measure on, if anything is to be measured.
    pub val: Option<AnnotationFile>,
    /// Folders, for the record of the run.
    pub folders: Vec<PathBuf>,
    /// What it starts from.
    pub start: Start,
}

/// Annotated pictures kept for measuring.
#[derive(Debug)]
pub struct Held {
    /// Those that are there.
    pub pictures: Vec<AnnotatedPicture>,
    /// All that the annotation file says, with the pictures that are not there and the crowds.
    pub truth: CocoTruth,
}

impl Held {
    /// What the annotation file `val` says, its categories merged by `groups` already.
    ///
    /// # Errors
    /// A file without objects, or that cannot be measured on.
    fn new(val: &AnnotationFile, groups: &Groups) -> Result<Self, TransferError> {
        let pictures = val.annotations.pictures.clone();
        if pictures.iter().all(|picture| picture.objects.is_empty()) {
            return Err(TransferError::NoObjects {
                purpose: "measured",
                path: val.path.clone(),
                pictures: pictures.len(),
            });
        }
        Ok(Self {
            pictures,
            truth: val.truth(groups)?,
        })
    }
}

/// Annotated pictures that have been looked at.
#[derive(Debug, Clone)]
pub struct InstancesData {
    /// Pictures to learn from, by number; each has objects.
    pub pictures: Arc<Vec<AnnotatedPicture>>,
    /// Their files, by the same number.
    pub files: Arc<Dataset>,
    /// To measure on.
    pub val: Option<Arc<Held>>,
    /// The classes.
    pub categories: Vec<Category>,
    notes: Vec<String>,
}

impl InstancesData {
    /// Takes the pictures from which something can be learnt.
    ///
    /// # Errors
    /// None of them; classes other than those of the recipe, or of the file to measure on: file, value and what would be right.
    pub fn open(sources: &Sources, recipe: &InstancesRecipe) -> Result<Self, TransferError> {
        let groups = &recipe.data.merge;
        let mut train = sources.train.merged(groups)?.annotations;
        let val = sources.val.as_ref().map(|val| val.merged(groups)).transpose()?;
        let wanted = &recipe.data.classes;
        let names = train.names();
        if !wanted.is_empty() && *wanted != names {
            return Err(TransferError::classes(wanted, &names));
        }
        if let Some(val) = &val
            && val.annotations.categories != train.categories
        {
            return Err(TransferError::Categories {
                train: sources.train.path.clone(),
                val: val.path.clone(),
            });
        }
        let annotated = train.pictures.len();
        train.leave_out_empty();
        if train.pictures.is_empty() {
            return Err(TransferError::NoObjects {
                purpose: "learnt",
                path: sources.train.path.clone(),
                pictures: annotated,
            });
        }
        let mut notes = vec![summary(&train)];
        notes.extend(train.left_out.sentences());
        if let Some(val) = &val {
            let left_out = val.annotations.left_out.sentences().into_iter();
            notes.extend(left_out.map(|sentence| format!("to measure on: {sentence}")));
        }
        let files = Dataset::from_paths(train.pictures.iter().map(|picture| &picture.path));
        Ok(Self {
            pictures: Arc::new(train.pictures),
            files: Arc::new(files),
            val: val.map(|val| Held::new(&val, groups)).transpose()?.map(Arc::new),
            categories: train.categories,
            notes,
        })
    }

    /// Classes without anything to learn from.
    pub(super) fn without_pictures(categories: Vec<Category>, files: Arc<Dataset>) -> Self {
        Self {
            pictures: Arc::default(),
            files,
            val: None,
            categories,
            notes: Vec::new(),
        }
    }

    /// What the user should know about the annotations, in sentences.
    pub fn notes(&self) -> &[String] {
        &self.notes
    }
}

/// How much there is to learn.
fn summary(annotations: &Annotations) -> String {
    let mut objects = vec![0usize; annotations.categories.len()];
    for object in annotations.pictures.iter().flat_map(|picture| &picture.objects) {
        objects[object.class] += 1;
    }
    let absent = objects.iter().filter(|count| **count == 0).count();
    let absent = match absent {
        0 => String::new(),
        count => format!("; {count} of the classes have no object"),
    };
    format!(
        "{} pictures with {} objects of {} classes{absent}",
        annotations.pictures.len(),
        objects.iter().sum::<usize>(),
        objects.len()
    )
}
