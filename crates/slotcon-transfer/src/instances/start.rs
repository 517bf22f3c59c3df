//! The weights that a run starts from.

use std::path::PathBuf;

use slotcon_nn::Store;
use slotcon_weights::WeightsError;
use slotcon_weights::names::to_detectron2;

use crate::backbone;

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
        match self {
            Self::Scratch => Ok(backbone::SCRATCH.into()),
            Self::Backbone { path, prefix } => backbone::give(
                path,
                prefix.as_deref(),
                store,
                "backbone.bottom_up.",
                to_detectron2,
            ),
        }
    }
}
