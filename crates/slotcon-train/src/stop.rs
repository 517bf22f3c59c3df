//! Stopping a run in good order: a signal ends it after the current step, with a checkpoint.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};

/// Set when the run should end.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

/// Signals by which people and Slurm end a job; the second one ends the program at once.
const ENDING: [i32; 2] = [SIGINT, SIGTERM];
/// Signals that warn of the end: Slurm's `--signal`, a terminal that is gone.
const WARNING: [i32; 3] = [SIGHUP, SIGUSR1, SIGUSR2];

impl Stop {
    /// Set by the first SIGINT, SIGTERM, SIGHUP, SIGUSR1 or SIGUSR2. A second SIGINT or SIGTERM ends the program with exit
    /// status 130; one after a mere warning does not yet. A signal that the program was started to ignore (SIGHUP by
    /// `nohup`) stays ignored.
    ///
    /// # Errors
    /// If the system refuses the handlers.
    pub fn on_signals() -> std::io::Result<Self> {
        let stop = Self::default();
        let ending = Arc::new(AtomicBool::new(false));
        for signal in ENDING {
            // Order matters: the second handler arms the first.
            signal_hook::flag::register_conditional_shutdown(signal, 130, Arc::clone(&ending))?;
            signal_hook::flag::register(signal, Arc::clone(&ending))?;
            signal_hook::flag::register(signal, Arc::clone(&stop.0))?;
        }
        for signal in WARNING.into_iter().filter(|&signal| !is_ignored(signal)) {
            signal_hook::flag::register(signal, Arc::clone(&stop.0))?;
        }
        Ok(stop)
    }

    /// The signals that [`Stop::on_signals`] heeds, for a process that hands them on.
    pub fn signals() -> Vec<i32> {
        let warning = WARNING.into_iter().filter(|&signal| !is_ignored(signal));
        ENDING.into_iter().chain(warning).collect()
    }

    /// Whether the run should end.
    pub fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Whether this process ignores `signal`, by the mask that the system shows; no where it shows none.
fn is_ignored(signal: i32) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
