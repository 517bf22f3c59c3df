//! Why label maps cannot be counted or scored.

/// Errors of this crate; each carries the values that do not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Label map and prediction are of different pictures or sizes.
    #[error("{labels} labels but {predictions} predicted ids; both maps must have the same pixels")]
    Length {
        /// Pixels of the label map.
        labels: usize,
        /// Pixels of the prediction.
        predictions: usize,
    },
    /// A label that is no class.
    #[error("pixel {pixel} has label {label}, but there are {classes} classes and {ignore} is ignored")]
    Label {
        /// Its position in the map.
        pixel: usize,
        /// The label.
        label: u16,
        /// C, the number of classes.
        classes: usize,
        /// The label that is ignored.
        ignore: u16,
    },
    /// A predicted id beyond the number of clusters.
    #[error("pixel {pixel} has cluster {cluster}, but there are {clusters} clusters")]
    Cluster {
        /// Its position in the map.
        pixel: usize,
        /// The predicted id.
        cluster: u16,
        /// K, the number of clusters.
        clusters: usize,
    },
    /// Predictions that are no classes: a semantic score compares like with like.
    #[error(
        "{clusters} clusters for {classes} classes; predictions must be ids of the same classes as the labels"
    )]
    NotSquare {
        /// C, the number of classes.
        classes: usize,
        /// K, the number of predicted ids.
        clusters: usize,
    },
    /// No pixel has a label that counts.
    #[error("every pixel of the label maps is ignored: is ignore_index right?")]
    NothingCounted,
}
