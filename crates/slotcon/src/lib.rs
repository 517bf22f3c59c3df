//! SlotCon (arXiv 2205.15288): [`method`] is the paper's section 3; around it are the optimizers, recipes,
//! checkpoints and the training run.

pub mod checkpoint;
mod error;
pub mod events;
pub mod health_limits;
pub mod method;
pub mod optim;
pub mod recipe;
pub mod run;
pub mod schedule;
pub mod weights;
pub mod whole;

pub use error::Error;
