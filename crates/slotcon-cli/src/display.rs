//! What a person sees of a run: a progress bar, and the warnings of the other ranks.

use std::sync::Arc;

use slotcon_train::observers::{ProgressBar, RankLog};
use slotcon_train::{AddObservers, Beginning, Observers};

/// Rank 0 shows the run, the others only what they warn of.
pub fn observers() -> AddObservers {
    Arc::new(|beginning: &Beginning, observers: &mut Observers| {
        if beginning.rank == 0 {
            observers.add(ProgressBar::new(beginning.from_step, beginning.total_steps));
        } else {
            observers.add(RankLog);
        }
    })
}

/// Prints a line to standard output; see `out!`.
#[allow(clippy::exit, reason = "nobody reads what is still to come")]
pub fn line(text: std::fmt::Arguments) {
    use std::io::Write;
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        let gone = error.kind() == std::io::ErrorKind::BrokenPipe;
        if !gone {
            eprintln!("error: cannot write to standard output: {error}");
        }
        std::process::exit(i32::from(!gone));
    }
}
