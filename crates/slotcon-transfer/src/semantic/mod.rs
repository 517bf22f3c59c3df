//! Semantic segmentation by a fully convolutional network, number for number as MMSegmentation trains and tests it.

mod inference;
mod loss;
mod network;

pub use inference::{Inference, Window};
pub use loss::{IGNORED, cross_entropy};
pub use network::{AuxiliaryConfig, Logits, Losses, Segmentor, SegmentorConfig};
