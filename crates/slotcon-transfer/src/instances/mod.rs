//! Detection and instance segmentation by Mask R-CNN (arXiv 1703.06870) on a feature pyramid, number for number as detectron2
//! trains and tests it.
//!
//! Where boxes live: what the region proposal network says is computed on the network's device; the candidates of all
//! pictures come to the host in one piece, and from there on boxes, overlaps and choices are the host's.

pub mod boxes;
mod inference;
mod mask_targets;
pub mod matcher;
mod network;
mod paste;
mod pooler;
mod precise_norm;
mod proposals;
mod regions;
mod rpn;
mod sampling;
mod truth;

pub use inference::{Detection, DetectionLimits, Detections};
pub use mask_targets::mask_targets;
pub use network::{DRAWN_SIDE, DetectorConfig, Losses, MULTIPLE, MaskRcnn, Pictures, Training};
pub use paste::paste;
pub use pooler::map_of;
pub use precise_norm::PreciseNorm;
pub use proposals::{ProposalLimits, Proposals};
pub use regions::Regions;
pub use rpn::AnchorTargets;
pub use sampling::{Candidates, Choose, Drawn, Sampling, Stage};
pub use truth::{Shape, Truth};
