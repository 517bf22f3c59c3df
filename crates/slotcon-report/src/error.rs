//! Why a page cannot be made.

use std::path::PathBuf;

/// Errors of this crate; each names the file or value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The network or its pictures cannot be used.
    #[error(transparent)]
    Eval(#[from] slotcon_eval::Error),
    /// The run's recipe cannot be used.
    #[error(transparent)]
    Recipe(#[from] slotcon_train::RecipeError),
    /// What a run left behind cannot be used.
    #[error(transparent)]
    Run(#[from] slotcon_train::Error),
    /// A file of the run cannot be read.
    #[error("{}: cannot read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A page cannot be written.
    #[error(transparent)]
    Write(#[from] slotcon_weights::atomic_file::WriteError),
    /// A picture cannot be encoded.
    #[error("cannot make a JPEG of a picture: {0}")]
    Jpeg(#[from] jpeg_encoder::EncodingError),
    /// A value cannot be written as JSON.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// More prototypes and pictures than one picture can hold.
    #[error(
        "{prototypes} prototypes with {top} pictures each make too large a sheet: fewer pictures (--top) or prototypes \
         (--prototypes), or an .html file"
    )]
    SheetTooLarge {
        /// Prototypes to show.
        prototypes: usize,
        /// Pictures for each of them.
        top: usize,
    },
}
