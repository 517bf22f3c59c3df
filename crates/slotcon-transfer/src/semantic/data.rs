//! The labelled pictures of a run: what the user points at, and what was found there.

use std::path::PathBuf;
use std::sync::Arc;

use slotcon_data::Dataset;
use slotcon_data::labelled::{ClassTable, Classes, LabelSummary, Pair, check_labels};

use super::recipe::SemanticRecipe;
use crate::error::TransferError;

/// The backbone that a run starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Random weights: from scratch.
    Scratch,
    /// The backbone in a file that [`slotcon_weights::WeightFile`] reads.
    Backbone {
        /// The file.
        path: PathBuf,
        /// What the names of its tensors begin with, where the file holds several backbones; `None`: the teacher's of a
        /// SlotCon checkpoint, else the only one.
        prefix: Option<String>,
    },
    /// A whole segmentor with the same classes: a checkpoint of this task.
    Segmentor {
        /// The checkpoint.
        path: PathBuf,
    },
}

/// What a run learns from.
#[derive(Debug, Clone)]
pub struct Sources {
    /// Pictures to learn from with their label maps.
    pub train: Vec<Pair>,
    /// Pictures to measure on; empty: nothing is measured.
    pub val: Vec<Pair>,
    /// What the numbers in the label maps mean.
    pub classes: Classes,
    /// Folders, for the record of the run.
    pub folders: Vec<PathBuf>,
    /// What lies there and is not taken, in sentences.
    pub left_out: Vec<String>,
    /// What it starts from.
    pub start: Start,
}

/// Labelled pictures that have been looked at.
#[derive(Debug, Clone)]
pub struct SemanticData {
    /// Pictures to learn from,
    pub pictures: Arc<Dataset>,
    /// and their label maps, by the same number.
    pub labels: Arc<Dataset>,
    /// Pictures to measure on.
    pub val: Arc<Vec<Pair>>,
    /// Class of every number in the maps.
    pub table: ClassTable,
    /// Names of the classes.
    pub names: Vec<String>,
    /// What the maps to learn from hold.
    pub summary: LabelSummary,
    /// What lies there and is not taken, in sentences.
    pub left_out: Vec<String>,
}

impl SemanticData {
    /// Looks at every label map.
    ///
    /// # Errors
    /// No pairs; classes other than those of the recipe; a label that is no class, a map of another size than its picture: file,
    /// value and what would be right.
    pub fn open(sources: &Sources, recipe: &SemanticRecipe) -> Result<Self, TransferError> {
        let names = &sources.classes.classes;
        let wanted = &recipe.data.classes;
        if !wanted.is_empty() && wanted != names {
            return Err(TransferError::Classes {
                recipe: wanted.len(),
                data: names.len(),
                first: wanted
                    .iter()
                    .zip(names)
                    .find(|(a, b)| a != b)
                    .map_or_else(String::new, |(a, b)| {
                        format!("; the first that differs is '{a}' there and '{b}' here")
                    }),
            });
        }
        if sources.train.is_empty() {
            return Err(TransferError::NoPairs);
        }
        let table = ClassTable::new(&sources.classes).map_err(TransferError::TooManyClasses)?;
        let mut summary = check_labels(&sources.train, &table)?;
        summary.other_size += check_labels(&sources.val, &table)?.other_size;
        let dataset = |of: fn(&Pair) -> &PathBuf| Arc::new(Dataset::from_paths(sources.train.iter().map(of)));
        Ok(Self {
            pictures: dataset(|pair| &pair.picture),
            labels: dataset(|pair| &pair.labels),
            val: Arc::new(sources.val.clone()),
            names: names.clone(),
            table,
            summary,
            left_out: sources.left_out.clone(),
        })
    }

    /// What the user should know about the label maps, in sentences.
    pub fn notes(&self) -> Vec<String> {
        let ignored = 100.0 * self.summary.ignored_share();
        let mut notes = vec![format!(
            "{} labelled pictures, {} classes; {ignored:.1} % of the pixels are ignored",
            self.pictures.len(),
            self.names.len()
        )];
        notes.extend(self.summary.sizes());
        let absent = Vec::from_iter(self.summary.absent().map(|class| self.names[class].as_str()));
        if !absent.is_empty() {
            notes.push(format!(
                "{} classes never occur in the maps to learn from: {}",
                absent.len(),
                absent.join(", ")
            ));
        }
        notes
    }
}
