//! How a run ended.

use std::path::PathBuf;

use crate::metrics::Metrics;

/// Why a run ended that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It did all its steps.
    Done,
    /// No validation was better for as long as `run.patience` says.
    Patience,
    /// Somebody stopped it.
    Stopped,
}

/// How a run ended that did not fail.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Steps done in all.
    pub step: u64,
    /// Steps after which it was to end.
    pub end: u64,
    /// Why it ended.
    pub ending: Ending,
    /// Steps of its schedules.
    pub total_steps: u64,
    /// The last logged step of this call.
    pub last: Option<Metrics>,
    /// The newest checkpoint.
    pub checkpoint: PathBuf,
}

impl Outcome {
    /// Whether the run was stopped before its end.
    pub fn stopped(&self) -> bool {
        self.ending == Ending::Stopped
    }
}
