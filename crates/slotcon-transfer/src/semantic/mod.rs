//! Semantic segmentation by a fully convolutional network, number for number as MMSegmentation trains and tests it.

mod bench;
mod data;
mod evaluate;
mod fine_tuned;
mod inference;
mod loss;
pub mod mmsegmentation;
mod network;
mod recipe;
mod task;

pub use data::{SemanticData, Sources, Start};
pub use evaluate::{Evaluator, Measured, measure};
pub use fine_tuned::FineTuned;
pub use inference::{Inference, Window};
pub use loss::{IGNORED, cross_entropy};
pub use network::{AuxiliaryConfig, Logits, Losses, Segmentor, SegmentorConfig};
pub use recipe::{DataRecipe, Normalisation, SegmentorRecipe, SemanticRecipe, TestRecipe};
pub use slotcon_data::labelled::check_labels;
pub use task::SemanticSegmentation;
