//! Operations over ranks, each rank a real process: the test starts itself once more for every rank.

#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

mod batch_norm;
mod collectives;
#[path = "../numbers/mod.rs"]
mod numbers;
mod reducer;
mod support;
