//! What can go wrong when a network is looked at.

use std::path::PathBuf;

/// Errors of this crate; each names the file or value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] slotcon::checkpoint::CheckpointError),
    /// Its recipe cannot be used.
    #[error(transparent)]
    Recipe(#[from] slotcon::recipe::RecipeError),
    /// Pictures or label maps.
    #[error(transparent)]
    Data(#[from] slotcon_data::Error),
    /// A file that cannot be written.
    #[error("{}: cannot write: {source}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Label maps that cannot be counted or scored.
    #[error(transparent)]
    Metrics(#[from] slotcon_metrics::Error),
    /// Rows that cannot be clustered.
    #[error(transparent)]
    KMeans(#[from] crate::clusters::kmeans::KMeansError),
    /// A value that cannot be written as JSON.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// Nothing to look at.
    #[error("none of the {tried} pictures can be used; the last one: {last}")]
    NoPicture {
        /// How many were tried.
        tried: usize,
        /// The last of them, and why not.
        last: String,
    },
    /// An argument that cannot work.
    #[error("{0}")]
    Argument(String),
    /// libtorch refused an operation.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
    /// The same, in what this project adds to it.
    #[error(transparent)]
    Multi(#[from] slotcon_torch::Error),
}
