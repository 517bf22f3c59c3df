//! What can end a run.

use std::path::{Path, PathBuf};

use crate::checkpoint::CheckpointError;
use crate::recipe::RecipeError;

/// Errors of a training run; each says what would be right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The recipe cannot be used.
    #[error(transparent)]
    Recipe(#[from] RecipeError),
    /// The pictures cannot be used.
    #[error(transparent)]
    Data(#[from] slotcon_data::Error),
    /// A checkpoint cannot be read or written.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// Weights from elsewhere cannot be used.
    #[error(transparent)]
    Weights(#[from] crate::weights::WeightsError),
    /// The weights do not fit.
    #[error(transparent)]
    Network(#[from] slotcon_nn::Error),
    /// libtorch refused an operation: out of memory, most often.
    #[error("{0}")]
    Torch(#[from] tch::TchError),
    /// The same, in what this project adds to it.
    #[error(transparent)]
    Multi(#[from] slotcon_torch::Error),
    /// The run directory or a file in it.
    #[error("{}: {action}: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said (disk full, folder gone, no permission).
        source: std::io::Error,
    },
    /// The run directory already holds a run.
    #[error("{} already holds a run: --resume goes on with it, --overwrite replaces it", .0.display())]
    Exists(PathBuf),
    /// Nothing to resume.
    #[error("{}: nothing to resume, there is no checkpoints/last.safetensors", .0.display())]
    NothingToResume(PathBuf),
    /// The run to be resumed was started otherwise.
    #[error("{what} differs from the run that is to be resumed: {now} now, {then} then; {advice}")]
    Differs {
        /// Which setting.
        what: String,
        /// Its value in this call.
        now: String,
        /// Its value in the checkpoint.
        then: String,
        /// What to do.
        advice: &'static str,
    },
    /// The loss stayed NaN or infinite.
    #[error(
        "{count} steps in a row had a loss or gradient that is not finite (the last at step {step}); the last good \
         checkpoint is intact. Try half the learning rate (optim.base_lr), a longer warm-up (optim.warmup_epochs), or \
         run.precision = \"bf16\" or \"f32\""
    )]
    NotFinite {
        /// How many.
        count: u64,
        /// The last of them.
        step: u64,
    },
    /// The ranks of a run cannot work together: which of them, and why.
    #[error("{0}")]
    Ranks(String),
    /// Another rank failed; [`crate::run::crew::Crew::disband`] finds out which.
    #[error("another rank ended or is late")]
    Elsewhere,
    /// A rank cannot use its pictures; it says itself why.
    #[error(
        "another rank cannot use its pictures and says why; what was learnt so far is in the last checkpoint"
    )]
    NoPicturesElsewhere,
    /// Another process writes the run directory.
    #[error("{} is in use by another run", .0.display())]
    InUse(PathBuf),
    /// A device that this machine or this build does not have.
    #[error("device {asked}: {reason}")]
    Device {
        /// As asked for.
        asked: String,
        /// Why not.
        reason: String,
    },
}

impl Error {
    /// For `map_err` on file operations.
    pub(crate) fn write(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Write {
            path: path.into(),
            action,
            source,
        }
    }
}
