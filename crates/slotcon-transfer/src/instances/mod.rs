//! Detection and instance segmentation by Mask R-CNN (arXiv 1703.06870) on a feature pyramid, number for number as detectron2
//! trains and tests it.
//!
//! Where boxes live: what the region proposal network says is computed on the network's device; the candidates of all
//! pictures come to the host in one piece, and from there on boxes, overlaps and choices are the host's. In a training step the
//! host waits for the device once for the labels of each picture's anchors, and once for these candidates.

mod batch;
mod bench;
pub mod boxes;
mod data;
mod evaluate;
mod export;
mod fine_tuned;
mod import;
mod inference;
mod mask_targets;
pub mod matcher;
mod network;
mod paste;
mod pooler;
mod precise_norm;
mod proposals;
mod recipe;
mod regions;
mod results;
mod rpn;
mod sampling;
mod start;
mod task;
mod truth;
mod validation;

pub use batch::Preparation;
pub use data::{AnnotationFile, Held, InstancesData, Sources};
pub use evaluate::{Detected, Detector, detect_all};
pub use export::export_detectron2;
pub use fine_tuned::FineTuned;
pub use import::{Imported, is_detector};
pub use inference::{Detection, DetectionLimits, Detections};
pub use mask_targets::mask_targets;
pub use network::{DRAWN_SIDE, DetectorConfig, Losses, MULTIPLE, MaskRcnn, Pictures, Training};
pub use paste::paste;
pub use pooler::map_of;
pub use precise_norm::PreciseNorm;
pub use proposals::{ProposalLimits, Proposals};
pub use recipe::{DataRecipe, DetectorRecipe, InstancesRecipe, Pixels, TestRecipe};
pub use regions::Regions;
pub use results::{CocoMask, CocoResult};
pub use rpn::AnchorTargets;
pub use sampling::{Candidates, Choose, Drawn, Sampling, Stage};
pub use slotcon_data::annotations::Shape;
pub use start::Start;
pub use task::InstanceSegmentation;
pub use truth::Truth;
