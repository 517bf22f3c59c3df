//! What can end a run.

use std::path::{Path, PathBuf};

use crate::checkpoint::CheckpointError;
use crate::recipe::RecipeError;

/// Errors of a training run; each says what would be right.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // What the run is made of.
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
    Weights(#[from] slotcon_weights::WeightsError),
    /// The weights do not fit.
    #[error(transparent)]
    Network(#[from] slotcon_nn::Error),
    /// What only the task knows.
    #[error(transparent)]
    Task(Box<dyn std::error::Error + Send + Sync>),

    // What it runs on.
    /// libtorch refused an operation.
    #[error(transparent)]
    Torch(slotcon_torch::Error),
    /// The machine or the GPU has not enough memory.
    #[error(
        "out of memory: {0}. Lower optim.batch or the size of the pictures, take the batch in parts (optim.accumulate), or use \
         run.precision = \"bf16\""
    )]
    OutOfMemory(String),
    /// A device that this machine or this build does not have.
    #[error("device {asked}: {reason}")]
    Device {
        /// As asked for.
        asked: String,
        /// Why not.
        reason: String,
    },

    // The run directory.
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
    /// The disk of the run directory cannot take a checkpoint.
    #[error(
        "{}: {free} MB are free on this disk, and one checkpoint of this run takes {checkpoint} MB; make room or choose another folder",
        path.display()
    )]
    DiskFull {
        /// The folder.
        path: PathBuf,
        /// Free, in MB.
        free: u64,
        /// What a checkpoint takes, in MB.
        checkpoint: u64,
    },
    /// The run directory already holds a run.
    #[error("{} already holds a run: --resume goes on with it, --overwrite replaces it", .0.display())]
    Exists(PathBuf),
    /// Nothing to resume.
    #[error("{}: nothing to resume, there is no checkpoints/last.safetensors", .0.display())]
    NothingToResume(PathBuf),
    /// The newest checkpoint is not whole, an older one is.
    #[error("{source}\nthe newest whole checkpoint is {0}; `cp {0} {1}` lets --resume go on from there", whole.display(), last.display())]
    LastNotWhole {
        /// What is wrong with the newest.
        source: CheckpointError,
        /// The newest that is whole.
        whole: PathBuf,
        /// The one that is not.
        last: PathBuf,
    },
    /// Another process writes the run directory.
    #[error("{} is in use by another run", .0.display())]
    InUse(PathBuf),
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

    // How it goes.
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
    /// Every step of the run was skipped.
    #[error(
        "none of its {steps} steps was taken: the loss or the gradients of each were not finite, so the weights are as they \
         were. Look at the pictures and at the weights that it starts from; try half the learning rate (optim.base_lr) or \
         run.precision = \"f32\""
    )]
    NoStepTaken {
        /// Steps that were skipped.
        steps: u64,
    },
    /// The ranks of a run cannot work together: which of them, and why.
    #[error("{0}")]
    ProcessGroup(String),
    /// Another rank ended or is late; [`crate::process_group::ProcessGroup::leave`] finds out which.
    #[error("another rank ended or is late")]
    RankLost,
    /// Another rank cannot use its pictures; it says itself why.
    #[error(
        "another rank cannot use its pictures and says why; what was learnt so far is in the last checkpoint"
    )]
    NoPicturesOnAnotherRank,
}

/// An error, and whether the run had begun: from then on the run directory is this run's, and a report of it is worth
/// writing. Before, the directory may hold another run, which nobody has touched.
#[derive(Debug)]
pub struct RunError {
    /// Whether the run had begun.
    pub began: bool,
    /// What ended it.
    pub source: Error,
}

impl std::fmt::Display for RunError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.source.fmt(f)
    }
}

impl std::error::Error for RunError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.source.source()
    }
}

impl From<Error> for RunError {
    fn from(source: Error) -> Self {
        Self { began: false, source }
    }
}

impl Error {
    /// An error that only the task knows.
    pub fn task(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Task(Box::new(error))
    }

    /// For `map_err` on file operations.
    pub fn write(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> Self {
        move |source| Self::Write {
            path: path.into(),
            action,
            source,
        }
    }

    /// Runs `f`, in which libtorch may refuse an operation by a panic (tch's methods do, those that give no `Result`): that
    /// becomes an error like any other.
    ///
    /// # Errors
    /// That of `f`, or what libtorch said.
    pub fn catch<T, E: Into<Self>>(f: impl FnOnce() -> Result<T, E>) -> Result<T, Self> {
        match slotcon_data::caught::catch(f) {
            Ok(result) => result.map_err(Into::into),
            Err(text) => Err(Self::libtorch(&text)),
        }
    }

    /// From what libtorch said, with or without a C++ stack trace.
    fn libtorch(text: &str) -> Self {
        let text = text.replace("\\n", "\n");
        let first = text.lines().next().unwrap_or_default();
        if ["out of memory", "can't allocate memory"]
            .iter()
            .any(|words| first.contains(words))
        {
            Self::OutOfMemory(first.to_owned())
        } else {
            Self::Torch(tch::TchError::Torch(first.to_owned()).into())
        }
    }
}

impl From<slotcon_torch::Error> for Error {
    fn from(error: slotcon_torch::Error) -> Self {
        match Self::libtorch(&error.to_string()) {
            out_of_memory @ Self::OutOfMemory(_) => out_of_memory,
            _ => Self::Torch(error),
        }
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        slotcon_torch::Error::from(error).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_of_libtorch_is_an_error_whichever_way_it_comes() {
        let panicked = Error::catch(|| -> Result<(), Error> {
            let _ = tch::Tensor::zeros([2, 3], (tch::Kind::Float, tch::Device::Cpu)).reshape([7]);
            Ok(())
        });
        let error = panicked.unwrap_err();
        assert!(matches!(error, Error::Torch(_)), "{error:?}");
        assert!(error.to_string().contains("shape '[7]' is invalid"), "{error}");
        let text = "[enforce fail at alloc_cpu.cpp:121] . DefaultCPUAllocator: can't allocate memory: you tried 7 bytes";
        let panicked = Error::catch(|| -> Result<(), Error> { panic!("{text}\\nstack trace") });
        assert!(matches!(panicked, Err(Error::OutOfMemory(said)) if said == text));
        let given = Error::from(tch::TchError::Torch("CUDA out of memory. Tried".into()));
        assert!(matches!(given, Error::OutOfMemory(_)));
    }
}
