//! Files with weights, of any origin, in and out.
//!
//! [`WeightFile`] opens safetensors, files of `torch.save` and pickles with numpy arrays; nothing in them is ever run: a
//! pickle is read by an unpickler that makes plain values from a fixed list of names and refuses the rest. [`fit()`] brings
//! named tensors into a network, all of them or none; [`names`] knows what torchvision, timm, detectron2 and MMSegmentation
//! call a backbone's tensors. [`safetensors`] and [`torch_save`] write, and whatever is written goes through
//! [`atomic_file`]. This crate knows networks only as lists of named tensors, and no method.

pub mod atomic_file;
mod backbone;
pub mod dtype;
mod error;
mod fit;
mod fit_report;
pub mod names;
pub mod pickle;
pub mod safetensors;
pub mod torch_save;
mod weight_file;

pub use backbone::{FoundBackbone, find_backbone, refuse_caffe2};
pub use dtype::Dtype;
pub use error::WeightsError;
pub use fit::{Found, fit, require_finite};
pub use fit_report::{FitReport, NameAndShape};
pub use weight_file::{FileFormat, Value, WeightFile};
