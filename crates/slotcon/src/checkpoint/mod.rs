//! Checkpoints: one safetensors file with every tensor of the run and, in its header, the recipe and how far it got.
//!
//! Tensors are named `model.<official name>` and `optimizer.momentum.<official name>`. A file is written beside its
//! final place, flushed to the disk and renamed, so that a reader sees the old file or the new one, never a part.

mod error;
mod file;
mod migrate;
mod read;
mod write;

use serde::{Deserialize, Serialize};

pub use error::CheckpointError;
pub(crate) use file::{TensorFile, tensor};
pub use read::Checkpoint;
pub use write::save;
pub(crate) use write::{tensor_bytes, write_safetensors, write_whole};

/// Version of the layout described here. A newer one is refused by name, an older one is brought up to date (`migrate`).
pub const FORMAT_VERSION: u32 = 2;

/// Prefix of the model's tensors.
pub const MODEL: &str = "model.";
/// Prefix of the optimizer's momentum buffers.
pub const MOMENTUM: &str = "optimizer.momentum.";

/// Key of the one entry of the file's metadata, a [`Header`] as JSON: several would be written in random order, and
/// equal runs would leave different files.
const HEADER: &str = "slotcon";

/// What a checkpoint says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    format_version: u32,
    /// Program and version; empty where an old one did not say.
    written_by: String,
    /// TOML.
    recipe: String,
    progress: Progress,
}

/// How far a run got, and on what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done; the next one has this number.
    pub step: u64,
    /// Steps of the whole run.
    pub total_steps: u64,
    /// Steps an epoch.
    pub steps_per_epoch: u64,
    /// Pictures in the data set: another number means another order.
    pub pictures: u64,
    /// How gradients are scaled (f16 only).
    pub loss_scale: LossScaleState,
    /// Steps skipped because a loss or gradient was not finite.
    pub skipped: u64,
    /// Pictures that could not be used so far.
    pub bad_pictures: u64,
}

impl Progress {
    /// Of a run that has not begun.
    pub fn new(total_steps: u64, steps_per_epoch: u64, pictures: u64) -> Self {
        Self {
            step: 0,
            total_steps,
            steps_per_epoch,
            pictures,
            loss_scale: LossScaleState::OFF,
            skipped: 0,
            bad_pictures: 0,
        }
    }
}

/// What dynamic loss scaling has come to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossScaleState {
    /// What the loss is multiplied by.
    pub value: f64,
    /// Good steps since it last changed.
    pub good_steps: u64,
}

impl LossScaleState {
    /// Of a run that does not scale.
    pub const OFF: Self = Self {
        value: 1.0,
        good_steps: 0,
    };
}
