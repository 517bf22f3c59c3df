//! Why a checkpoint cannot be read or written.

use std::path::PathBuf;

/// Errors of checkpoint files; every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file cannot be read or written, or is no whole safetensors file.
    #[error(transparent)]
    File(#[from] slotcon_weights::WeightsError),
    /// A safetensors file, but not one of ours.
    #[error("{}: not a slotcon checkpoint: {reason}", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is missing or odd.
        reason: String,
    },
    /// What `torch.save` wrote.
    #[error(
        "{0}: is a file of torch.save, not a checkpoint of slotcon. `slotcon import --from {0} --out F.safetensors` makes one of \
         an official SlotCon checkpoint; a backbone alone goes to `slotcon pretrain --init-backbone`",
        path.display()
    )]
    TorchSave {
        /// The file.
        path: PathBuf,
    },
    /// Written by a later program.
    #[error(
        "{}: checkpoint format {found} is newer than the {supported} that this program reads; use a newer slotcon",
        path.display()
    )]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// Ours.
        supported: u32,
    },
    /// A checkpoint of another task.
    #[error("{}: a checkpoint of the task '{found}', needed is one of '{needed}'", path.display())]
    OtherTask {
        /// The file.
        path: PathBuf,
        /// Its task.
        found: String,
        /// The task that was asked for.
        needed: &'static str,
    },
}
