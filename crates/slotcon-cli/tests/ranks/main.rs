//! Several processes that train together, and what becomes of them when one of them fails.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test may say what it saw"
)]
#![allow(clippy::unwrap_used, reason = "a test may end in a panic")]

#[path = "../common/mod.rs"]
mod common;

mod failures;
mod launchers;
mod rendezvous;
mod support;
mod training;
