//! What can go wrong when a network is built or filled with weights.

/// Errors of this crate; each message carries the values.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A backbone name that is not one of [`crate::Arch::ALL`].
    #[error("unknown architecture '{name}'; known: {known}")]
    UnknownArch {
        /// What was asked for.
        name: String,
        /// All known names, comma separated.
        known: String,
    },
    /// Weights whose names or shapes do not fit the network.
    #[error("weights do not fit the network: {0}")]
    Weights(String),
    /// libtorch refused an operation.
    #[error(transparent)]
    Torch(#[from] tch::TchError),
}
