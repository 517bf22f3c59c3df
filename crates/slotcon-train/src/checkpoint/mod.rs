//! Checkpoints: one safetensors file with every tensor of the run and, in its header, the task, its recipe and how far the run
//! got.
//!
//! Tensors are named `model.<official name>` and `optimizer.momentum.<official name>`. A file is written beside its
//! final place, flushed to the disk and renamed, so that a reader sees the old file or the new one, never a part.

mod error;
mod migrate;
mod read;
mod write;

use serde::{Deserialize, Serialize};

pub use error::CheckpointError;
pub use read::{About, Checkpoint};
pub use write::save;

/// Version of the layout described here. A newer one is refused by name, an older one is brought up to date (`migrate`).
pub const FORMAT_VERSION: u32 = 2;

/// Prefix of the network's tensors.
pub const NETWORK: &str = "model.";
/// Prefix of the optimizer's momentum buffers.
pub const MOMENTUM: &str = "optimizer.momentum.";

/// Key of the one entry of the file's metadata: what the checkpoint says of itself, as JSON.
pub const HEADER: &str = "slotcon";

/// What a checkpoint says of itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Header {
    format_version: u32,
    /// Program and version; empty where an old one did not say.
    written_by: String,
    /// What was trained; a file of before there were several tasks does not say.
    #[serde(default = "only_task")]
    task: String,
    /// TOML.
    recipe: String,
    progress: Progress,
}

/// The task of files that name none.
fn only_task() -> String {
    "pretrain".into()
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
    /// The best validation so far, for tasks that validate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub best: Option<Best>,
}

/// The best validation of a run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps done by then.
    pub step: u64,
    /// Its score.
    pub score: f64,
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
            best: None,
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
