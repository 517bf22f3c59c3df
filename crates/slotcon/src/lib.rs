//! SlotCon (arXiv 2205.15288): the method, its optimizers, recipes, trainer and checkpoints.

pub mod method;
pub mod optim;
pub mod schedule;
