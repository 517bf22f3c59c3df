//! Whole segmentors in MMSegmentation's files, in and out: names, weights, and the configuration beside them.

mod config;
mod export;
mod import;
mod python;

pub use export::export;
pub use import::{Imported, is_segmentor};

/// What stands in `decode_head` of every FCN of MMSegmentation.
const CLASSIFIER: &str = "decode_head.conv_seg.weight";

/// Key of the metadata of a safetensors file under which the same JSON object stands as `meta` in a file of `torch.save`.
const META: &str = "meta";
