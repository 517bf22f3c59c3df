//! A progress bar over a folder of pictures; what cannot be used is named above it.

use std::path::Path;

use indicatif::{ProgressBar, ProgressStyle};
use slotcon_eval::ProgressSink;

/// Shows how far a pass over pictures is, on standard error.
#[derive(Debug)]
pub struct PictureBar(ProgressBar);

impl Default for PictureBar {
    fn default() -> Self {
        Self(ProgressBar::hidden())
    }
}

impl PictureBar {
    /// Removes it from the screen.
    pub fn finish(&self) {
        self.0.finish_and_clear();
    }
}

impl ProgressSink for PictureBar {
    fn begin(&mut self, what: &str, total: usize) {
        self.0.finish_and_clear();
        let bar = ProgressBar::new(total as u64);
        if let Ok(style) = ProgressStyle::with_template("{msg} {bar:30} {pos}/{len} pictures, {eta} left") {
            bar.set_style(style);
        }
        bar.set_message(what.to_owned());
        self.0 = bar;
    }

    fn done(&mut self) {
        self.0.inc(1);
    }

    fn bad(&mut self, path: &Path, reason: &str) {
        self.0
            .suspend(|| eprintln!("warning: {}: {reason}", path.display()));
    }
}
