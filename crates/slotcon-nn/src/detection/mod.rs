//! The networks of Mask R-CNN (arXiv 1703.06870) on a feature pyramid (arXiv 1612.03144), under the names of detectron2's state
//! dict, one a file.

mod anchors;
mod box_head;
mod conv_norm;
mod fpn;
mod mask_head;
mod rpn_head;

pub use anchors::Anchors;
pub use box_head::{BoxHead, BoxHeadConfig, BoxPredictor};
pub use conv_norm::ConvNorm;
pub use fpn::{Fpn, FpnConfig, LEVELS};
pub use mask_head::{MaskHead, MaskHeadConfig};
pub use rpn_head::{Proposed, RpnHead};
