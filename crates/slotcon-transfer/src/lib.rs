//! What a pretrained backbone is worth elsewhere: the networks, losses and inference of the tasks to which it is transferred.

mod backbone;
mod error;
pub mod instances;
#[cfg(test)]
mod published;
pub mod semantic;

pub use error::TransferError;
