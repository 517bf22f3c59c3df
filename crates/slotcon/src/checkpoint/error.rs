//! Why a checkpoint cannot be read or written.

use std::path::PathBuf;

/// Errors of checkpoint files; every message names the file.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a safetensors file, or a broken one.
    #[error("{}: not a whole safetensors file: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        reason: String,
    },
    /// A safetensors file, but not one of ours.
    #[error("{}: not a slotcon checkpoint: {reason}", path.display())]
    NotOurs {
        /// The file.
        path: PathBuf,
        /// What is missing or odd.
        reason: String,
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
    /// The weights belong to another network.
    #[error("{}: {reason}", path.display())]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Names and shapes.
        reason: String,
    },
}
