//! Whether a run is healthy: figures beside what is normal, and what to change where they are not. These are the checks
//! that every run has; a task adds its own ([`crate::panel::Panel::health`]).

use super::record::Record;

/// How a figure looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// The figure is as it should be.
    Good,
    /// The figure is worth a look; early in a run it is often just early.
    Watch,
    /// The figure is wrong.
    Bad,
}

impl State {
    /// Good up to the first limit, to be watched up to the second, bad beyond.
    pub fn rising(value: f64, good: f64, watch: f64) -> Self {
        match value {
            v if v <= good => Self::Good,
            v if v <= watch => Self::Watch,
            _ => Self::Bad,
        }
    }

    /// The state in a word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Good => "healthy",
            Self::Watch => "watch",
            Self::Bad => "unhealthy",
        }
    }

    /// The state's CSS class in the page.
    pub fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Watch => "watch",
            Self::Bad => "bad",
        }
    }
}

/// What was checked, and how it looks.
#[derive(Debug, Clone, PartialEq)]
pub struct HealthCheck {
    /// What should be so.
    pub name: &'static str,
    /// How it looks.
    pub state: State,
    /// The figures, beside what is normal.
    pub found: String,
    /// What they mean and what to change; empty where all is well.
    pub advice: &'static str,
}

impl HealthCheck {
    /// A check; the advice is dropped where all is well.
    pub fn new(name: &'static str, state: State, found: String, advice: &'static str) -> Self {
        Self {
            name,
            state,
            found,
            advice: if state == State::Good { "" } else { advice },
        }
    }
}

const SKIPPED: &str = "Losses or gradients overflowed. Use --precision bf16 instead of f16, halve optim.base_lr, or lengthen \
                       optim.warmup_epochs. A few at the start are normal in f16.";
const PICTURES: &str = "Files that are no whole pictures; others were taken in their place. They are named below and in log.txt.";

/// The checks that every run has: skipped steps, replaced pictures. None before the first logged step.
pub fn of_every_run(record: &Record) -> Vec<HealthCheck> {
    match record.lines {
        0 => Vec::new(),
        _ => vec![skipped(record), pictures(record)],
    }
}

fn skipped(record: &Record) -> HealthCheck {
    let (count, steps) = (record.count("skipped_steps"), record.count("step"));
    let share = count as f64 / steps.max(1) as f64;
    HealthCheck::new(
        "Every step was taken",
        State::rising(share, 0.0, 0.02),
        format!("{count} of {steps} steps skipped"),
        SKIPPED,
    )
}

fn pictures(record: &Record) -> HealthCheck {
    let count = record.count("bad_pictures");
    let state = if count == 0 { State::Good } else { State::Watch };
    HealthCheck::new(
        "Every picture could be used",
        state,
        format!("{count} times a picture was replaced"),
        PICTURES,
    )
}
