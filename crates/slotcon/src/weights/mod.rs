//! Weights in and out: the official checkpoints, and the files of torchvision, timm, detectron2 and MMSegmentation.
//!
//! [`WeightFile`] opens any of them, and nothing in them is ever run: pickles are read by a machine that makes plain values
//! from a fixed list of names and refuses the rest. [`Imported`] makes one of our checkpoints of an official one, [`export()`]
//! goes the other way, [`init_backbone`] starts a run from a backbone alone, [`inspect()`] says what a file is.

mod backbone;
mod error;
mod export;
mod file;
mod fit;
mod import;
mod inspect;
mod names;
mod pickle;
mod pickle_write;
mod report;
mod tensors;
mod torch_file;
mod torch_write;

pub use backbone::init_backbone;
pub use error::WeightsError;
pub use export::{Format, export};
pub use file::{FileKind, SavedRun, Value, WeightFile};
pub use import::Imported;
pub use inspect::{Inspection, TensorInfo, inspect};
pub use report::{NameAndShape, Report};
