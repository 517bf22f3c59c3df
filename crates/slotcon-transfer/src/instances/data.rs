//! The annotated pictures of a run.

use std::path::PathBuf;
use std::sync::Arc;

use slotcon_data::Dataset;
use slotcon_data::annotations::{AnnotatedPicture, Annotations, Category};
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
    pub fn open(path: PathBuf, folder: &std::path::Path) -> Result<Self, TransferError> {
        let annotations = Annotations::open(&path, folder)?;
        Ok(Self { path, annotations })
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
    /// What the annotation file `val` says.
    ///
    /// # Errors
    /// A file without objects, or that cannot be measured on.
    fn new(val: &AnnotationFile) -> Result<Self, TransferError> {
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
            truth: CocoTruth::open(&val.path)?,
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
        let mut train = sources.train.annotations.clone();
        let wanted = &recipe.data.classes;
        let names = train.names();
        if !wanted.is_empty() && *wanted != names {
            return Err(TransferError::classes(wanted, &names));
        }
        if let Some(val) = &sources.val
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
        if let Some(val) = &sources.val {
            let left_out = val.annotations.left_out.sentences().into_iter();
            notes.extend(left_out.map(|sentence| format!("to measure on: {sentence}")));
        }
        let files = Dataset::from_paths(train.pictures.iter().map(|picture| &picture.path));
        Ok(Self {
            pictures: Arc::new(train.pictures),
            files: Arc::new(files),
            val: sources.val.as_ref().map(Held::new).transpose()?.map(Arc::new),
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
