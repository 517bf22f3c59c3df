//! What a person sees: a progress bar on a terminal, plain lines elsewhere. On standard error.

#![allow(clippy::print_stderr, reason = "showing is its purpose; the program adds it")]

use std::io::IsTerminal;

use indicatif::ProgressStyle;

use super::{Level, Observer};
use crate::error::Error;
use crate::metrics::Metrics;

/// Shows a run.
#[derive(Debug)]
pub struct ProgressBar {
    bar: Option<indicatif::ProgressBar>,
    done: u64,
    total: u64,
    started: std::time::Instant,
    first: u64,
}

impl ProgressBar {
    /// Of a run of `total` steps that starts after `first`.
    pub fn new(first: u64, total: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let bar = indicatif::ProgressBar::new(total).with_position(first);
            let style = "{bar:30} {pos}/{len} steps, {elapsed} passed, {eta} left  {msg}";
            if let Ok(style) = ProgressStyle::with_template(style) {
                bar.set_style(style);
            }
            bar.reset_eta();
            bar
        });
        Self {
            bar,
            done: first,
            total,
            started: std::time::Instant::now(),
            first,
        }
    }

    fn left(&self) -> String {
        let steps = (self.done - self.first).max(1) as f64;
        let seconds = self.started.elapsed().as_secs_f64() / steps * (self.total - self.done) as f64;
        indicatif::HumanDuration(std::time::Duration::from_secs_f64(seconds)).to_string()
    }
}

impl Observer for ProgressBar {
    fn stepped(&mut self, step: u64, _total: u64) {
        self.done = step;
        if let Some(bar) = &self.bar {
            bar.set_position(step);
        }
    }

    fn logged(&mut self, m: &Metrics) -> Result<(), Error> {
        let separator = if m.summary.is_empty() { "" } else { "  " };
        let text = format!(
            "loss {:.3}{}  {:.1} pictures/s{separator}{}",
            m.loss,
            parts(m),
            m.pictures_per_second,
            m.summary
        );
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None => eprintln!(
                "step {}/{}  epoch {:.2}  {text}  {} left",
                m.step,
                self.total,
                m.epoch,
                self.left()
            ),
        }
        Ok(())
    }

    fn said(&mut self, level: Level, text: &str) -> Result<(), Error> {
        let text = if level == Level::Warning {
            format!("warning: {text}")
        } else {
            text.to_owned()
        };
        match &self.bar {
            Some(bar) => bar.suspend(|| eprintln!("{text}")),
            None => eprintln!("{text}"),
        }
        Ok(())
    }
}

/// The parts of the loss, in brackets.
fn parts(metrics: &Metrics) -> String {
    let parts = metrics.losses.iter().map(|(name, value)| {
        let name = name.trim_end_matches("_loss").trim_start_matches("loss_");
        format!("{name} {value:.3}")
    });
    let parts = Vec::from_iter(parts).join(", ");
    if parts.is_empty() {
        parts
    } else {
        format!(" ({parts})")
    }
}

impl Drop for ProgressBar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.abandon();
        }
    }
}
