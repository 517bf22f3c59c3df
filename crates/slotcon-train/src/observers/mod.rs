//! Whoever wants to know how a run goes: the files of the run directory, and what a person sees.

mod log_file;
mod metrics_file;
mod progress_bar;
mod rank_log;
mod tensorboard;

pub use log_file::LogFile;
pub use metrics_file::MetricsFile;
pub use progress_bar::ProgressBar;
pub use rank_log::RankLog;
pub use tensorboard::EventWriter;

use crate::error::Error;
use crate::metrics::Metrics;

/// Told by the training loop; the default is not to care.
pub trait Observer {
    /// A step was done, out of `total`.
    fn stepped(&mut self, _step: u64, _total: u64) {}

    /// A step was logged.
    ///
    /// # Errors
    /// What keeps the metrics from being stored; it ends the run.
    fn logged(&mut self, _metrics: &Metrics) -> Result<(), Error> {
        Ok(())
    }

    /// Something was said that belongs into the log.
    ///
    /// # Errors
    /// What keeps the log from being written; it ends the run.
    fn said(&mut self, _level: Level, _text: &str) -> Result<(), Error> {
        Ok(())
    }
}

/// How much a line of the log matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Good to know.
    Info,
    /// Something to look into.
    Warning,
}

/// All observers of a run as one.
#[derive(Default)]
pub struct Observers(Vec<Box<dyn Observer>>);

impl Observers {
    /// Adds one.
    pub fn add(&mut self, observer: impl Observer + 'static) {
        self.0.push(Box::new(observer));
    }
}

impl Observer for Observers {
    fn stepped(&mut self, step: u64, total: u64) {
        self.0.iter_mut().for_each(|o| o.stepped(step, total));
    }

    fn logged(&mut self, metrics: &Metrics) -> Result<(), Error> {
        self.0.iter_mut().try_for_each(|o| o.logged(metrics))
    }

    fn said(&mut self, level: Level, text: &str) -> Result<(), Error> {
        self.0.iter_mut().try_for_each(|o| o.said(level, text))
    }
}
