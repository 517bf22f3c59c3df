//! Weights in and out: the official checkpoints, and the files of torchvision, timm, detectron2 and MMSegmentation.
//!
//! [`Imported`] makes one of our checkpoints of an official one, [`export()`] goes the other way, [`init_backbone()`] starts a
//! run from a backbone alone, [`inspect()`] says what a file is.

mod export;
mod hub;
mod init_backbone;
mod inspect;
mod official_args;
mod official_read;
mod official_write;

use slotcon_train::checkpoint::HEADER;
use slotcon_train::{CheckpointError, RecipeError};
use slotcon_weights::{FileFormat, WeightFile, WeightsError};

pub use export::{Format, export};
pub use init_backbone::init_backbone;
pub use inspect::{Inspection, TensorInfo, inspect};
pub use official_read::Imported;

/// Why weights cannot be taken in or given out; every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum InteropError {
    /// The file cannot be read, written or fitted.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// Our own checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// A recipe that follows from the file cannot be used.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// This format does not exist for this network or this name of a file.
    #[error("{0}")]
    Export(String),
}

/// What a file with weights is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A checkpoint of this program.
    Checkpoint,
    /// A training checkpoint of the official implementation.
    Official,
    /// Some other file with weights.
    Other(FileFormat),
}

impl FileKind {
    /// What `file` is.
    pub fn of(file: &WeightFile) -> Self {
        let official = file.values.contains_key("args.arch")
            && file.tensors.iter().any(|(name, _)| {
                name.starts_with("model.") && name.ends_with("grouping_q.slot_embed.weight")
            });
        if file.metadata.contains_key(HEADER) {
            Self::Checkpoint
        } else if official {
            Self::Official
        } else {
            Self::Other(file.format)
        }
    }

    /// Its name for scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::Checkpoint => "slotcon-checkpoint",
            Self::Official => "official-checkpoint",
            Self::Other(format) => format.name(),
        }
    }
}
