//! What can go wrong in transfer beside what the engine knows.

use std::path::PathBuf;

/// Errors of this crate; each names the file or value.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    /// Pictures, label maps or their folders cannot be used.
    #[error(transparent)]
    Data(#[from] slotcon_data::Error),
    /// A label map cannot be used.
    #[error("{}: {reason}", path.display())]
    Labels {
        /// The map.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// The recipe names other classes than the data.
    #[error(
        "the recipe names {recipe} classes (data.classes), the data has {data}{first}; leave data.classes empty to take those of the data"
    )]
    Classes {
        /// How many the recipe names.
        recipe: usize,
        /// How many the data has.
        data: usize,
        /// The first that differs, in words.
        first: String,
    },
    /// More classes than can be learned.
    #[error("{0}")]
    TooManyClasses(String),
    /// A checkpoint that does not say its classes.
    #[error("{}: its recipe names no classes (data.classes)", path.display())]
    NoClasses {
        /// The checkpoint.
        path: PathBuf,
    },
    /// A segmentor to start from that is another network than the recipe's.
    #[error(
        "{}: {key} is {found} in it and {here} in the recipe, so that its weights would mean something else; use --set {key}=… or \
         a recipe of the same network",
        path.display()
    )]
    OtherNetwork {
        /// The checkpoint.
        path: PathBuf,
        /// The key of the recipe.
        key: &'static str,
        /// Its value in the checkpoint.
        found: String,
        /// Its value in the recipe.
        here: String,
    },
    /// Annotation files of other categories.
    #[error(
        "{}: its categories (numbers and names) are not those of {}; both must be of the same classes",
        val.display(),
        train.display()
    )]
    Categories {
        /// The file to learn from.
        train: PathBuf,
        /// The file to measure on.
        val: PathBuf,
    },
    /// Classes made of categories that are not there.
    #[error("{}: data.merge: {reason}", path.display())]
    Merge {
        /// The annotation file.
        path: PathBuf,
        /// What is wrong, and what would be right.
        reason: String,
    },
    /// An annotation file without objects.
    #[error("{}: none of its {pictures} pictures has an object that can be {purpose}", path.display())]
    NoObjects {
        /// What they are for: learnt or measured.
        purpose: &'static str,
        /// The file.
        path: PathBuf,
        /// Its pictures.
        pictures: usize,
    },
    /// A weight file without a detector.
    #[error(
        "{}: holds no detector of detectron2: no tensor, or more than one, is named proposal_generator.rpn_head.conv.weight, \
         with whatever prefix",
        path.display()
    )]
    NoDetector {
        /// The file.
        path: PathBuf,
    },
    /// A detector that is none of those that can be built.
    #[error("{}: {reason}", path.display())]
    UnknownDetector {
        /// The file.
        path: PathBuf,
        /// What is not known.
        reason: String,
    },
    /// Detections that cannot be brought together.
    #[error("detections of the ranks are not whole: {0}")]
    Results(#[from] serde_json::Error),
    /// Detections that cannot be measured.
    #[error(transparent)]
    Coco(#[from] slotcon_metrics::coco::CocoError),
    /// Weights that cannot be read or do not fit.
    #[error(transparent)]
    Weights(#[from] slotcon_weights::WeightsError),
    /// Nothing to learn from.
    #[error("there is no picture with a label map to learn from")]
    NoPairs,
    /// No scale to look at pictures.
    #[error("no scale is given at which pictures are seen")]
    NoScale,
    /// Counts that give no figure.
    #[error(transparent)]
    Metrics(#[from] slotcon_metrics::Error),
    /// libtorch refused an operation.
    #[error(transparent)]
    Torch(#[from] slotcon_torch::Error),
}

impl TransferError {
    /// [`TransferError::Classes`] of two lists of names that differ.
    pub(crate) fn classes(recipe: &[String], data: &[String]) -> Self {
        let first = recipe.iter().zip(data).find(|(a, b)| a != b);
        Self::Classes {
            recipe: recipe.len(),
            data: data.len(),
            first: first.map_or_else(String::new, |(a, b)| {
                format!("; the first that differs is '{a}' there and '{b}' here")
            }),
        }
    }
}

impl From<tch::TchError> for TransferError {
    fn from(error: tch::TchError) -> Self {
        slotcon_torch::Error::from(error).into()
    }
}

impl From<TransferError> for slotcon_train::Error {
    fn from(error: TransferError) -> Self {
        match error {
            TransferError::Data(error) => error.into(),
            TransferError::Torch(error) => error.into(),
            error => Self::task(error),
        }
    }
}
