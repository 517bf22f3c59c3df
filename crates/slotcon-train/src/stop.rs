//! Stopping a run in good order: Ctrl-C or SIGTERM ends it after the current step, with a checkpoint; a second one at
//! once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGINT, SIGTERM};

/// Set when the run should end.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Set by the first SIGINT or SIGTERM; the second ends the program with exit status 130.
    ///
    /// # Errors
    /// If the system refuses the handlers.
    pub fn on_signals() -> std::io::Result<Self> {
        let stop = Self::default();
        for signal in [SIGINT, SIGTERM] {
            // Order matters: the second handler arms the first.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&stop.0))?;
            signal_hook::flag::register(signal, Arc::clone(&stop.0))?;
        }
        Ok(stop)
    }

    /// Whether the run should end.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
