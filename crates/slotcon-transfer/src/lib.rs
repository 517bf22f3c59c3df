//! What a pretrained backbone is worth elsewhere: the networks, losses and inference of the tasks to which it is transferred.

mod error;
pub mod instances;
pub mod semantic;

pub use error::TransferError;
