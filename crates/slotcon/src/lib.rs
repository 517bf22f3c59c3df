//! SlotCon (arXiv 2205.15288): [`method`] is the paper's section 3, [`pretrain`] makes a task of the training engine of it,
//! [`recipe`] says what a run is made of, [`health`] whether its groups are groups, [`quality`] how good they are, and [`interop`]
//! takes the official checkpoints in and other programs' files out.

pub mod health;
pub mod health_limits;
pub mod interop;
pub mod method;
pub mod pretrain;
pub mod quality;
pub mod recipe;
pub mod traffic;

pub use pretrain::Pretraining;
pub use recipe::Recipe;

/// A checkpoint of pretraining.
pub type Checkpoint = slotcon_train::Checkpoint<Recipe>;
