//! The weights that a run starts from.

use std::path::PathBuf;

use slotcon_nn::Store;
use slotcon_weights::names::to_detectron2;
use slotcon_weights::{WeightFile, WeightsError, find_backbone, fit};

/// The weights that a run starts from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// Random ones: from scratch.
    Scratch,
    /// The backbone in a file that [`slotcon_weights::WeightFile`] reads.
    Backbone {
        /// The file.
        path: PathBuf,
        /// What the names of its tensors begin with, where the file holds several backbones; `None`: the teacher's of a
        /// SlotCon checkpoint, else the only one.
        prefix: Option<String>,
    },
}

impl Start {
    /// Gives the backbone of a detector what the file has; what was done, in a sentence.
    ///
    /// # Errors
    /// A file without a backbone, weights that are missing or of another shape.
    pub(super) fn give(&self, store: &Store) -> Result<String, WeightsError> {
        let Self::Backbone { path, prefix } = self else {
            return Ok("the backbone starts from random weights".into());
        };
        let found = find_backbone(&WeightFile::open(path)?, prefix.as_deref())?;
        let tensors = found.tensors.into_iter();
        let tensors = tensors
            .map(|(name, tensor)| (to_detectron2(&name), tensor))
            .collect();
        let report = fit(path, &store.entries(), "backbone.bottom_up.", &tensors)?;
        let note = found.note.map_or_else(String::new, |note| format!("; {note}"));
        Ok(format!(
            "backbone from {}: {} of its tensors taken{note}",
            path.display(),
            report.matched.len()
        ))
    }
}
