//! What can go wrong when a network is looked at.

use crate::pictures::BadPictures;
use slotcon_weights::atomic_file::WriteError;

/// Errors of this crate; each names the file or value.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    // What is read.
    /// The checkpoint cannot be used.
    #[error(transparent)]
    Checkpoint(#[from] slotcon_train::CheckpointError),
    /// The checkpoint's recipe cannot be used.
    #[error(transparent)]
    Recipe(#[from] slotcon_train::RecipeError),
    /// A backbone cannot be used.
    #[error(transparent)]
    Backbone(#[from] slotcon::interop::InteropError),
    /// A folder of pictures, a picture or a label map cannot be used.
    #[error(transparent)]
    Data(#[from] slotcon_data::Error),
    /// A file of names cannot be used.
    #[error("{}: {reason}", path.display())]
    Names {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file of weights or of found groups cannot be read or written.
    #[error(transparent)]
    Weights(#[from] slotcon_weights::WeightsError),
    /// A file of found groups cannot be used.
    #[error("{}: {reason}", path.display())]
    Groups {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No picture of a folder can be used.
    #[error("none of the {tried} pictures can be used; the last one: {last}")]
    NoPicture {
        /// How many were tried.
        tried: usize,
        /// The last of them, and why not.
        last: String,
    },
    /// An argument cannot work.
    #[error("{0}")]
    Argument(String),

    // What is computed.
    /// Label maps cannot be counted or scored.
    #[error(transparent)]
    Metrics(#[from] slotcon_metrics::Error),
    /// Rows cannot be clustered.
    #[error(transparent)]
    KMeans(#[from] crate::clusters::kmeans::KMeansError),
    /// libtorch refused an operation.
    #[error(transparent)]
    Torch(#[from] slotcon_torch::Error),

    // What is written.
    /// A file cannot be written.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// A value cannot be written as JSON.
    #[error("cannot write JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl Error {
    /// None of the pictures could be used: these.
    pub(crate) fn no_picture(bad: BadPictures) -> Self {
        let last = bad.last.map(|bad| format!("{}: {}", bad.path, bad.reason));
        Self::NoPicture {
            tried: bad.count,
            last: last.unwrap_or_default(),
        }
    }
}

impl From<tch::TchError> for Error {
    fn from(error: tch::TchError) -> Self {
        Self::Torch(error.into())
    }
}

/// Refuses a file whose `version` is another than the one that is `known`; one that says none may be read.
pub(crate) fn check_version(file: &serde_json::Value, known: u32) -> Result<(), String> {
    match file["version"].as_u64() {
        Some(version) if version != u64::from(known) => Err(format!(
            "is version {version} of the format; this program reads version {known}"
        )),
        _ => Ok(()),
    }
}
