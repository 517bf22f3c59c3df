//! Layers over tensors that a [`crate::Store`] holds, one a file.

mod batch_norm;
mod conv;
mod deconv;
mod linear;

pub use batch_norm::{BatchNorm, BatchNormMode};
pub use conv::{Conv2d, ConvConfig};
pub use deconv::Deconv;
pub use linear::Linear;
