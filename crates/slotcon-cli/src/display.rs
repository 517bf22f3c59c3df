//! What a person sees of a run: who is waited for, a progress bar, and the warnings of the other ranks.

use std::sync::Arc;

use slotcon_train::observers::{ProgressBar, RankLog};
use slotcon_train::process_group::Waiting;
use slotcon_train::process_group::heartbeat::rank_tag;
use slotcon_train::{AddObservers, Beginning, Observers};

use crate::status::Status;

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

/// Says who is waited for before a run can begin.
pub fn waiting() -> Waiting {
    Arc::new(|text| eprintln!("{}waiting: {text}", rank_tag()))
}

/// Prints a line to standard output; see `out!`.
pub fn line(text: std::fmt::Arguments) {
    use std::io::Write;
    if let Err(error) = writeln!(std::io::stdout(), "{text}") {
        let gone = error.kind() == std::io::ErrorKind::BrokenPipe;
        if !gone {
            eprintln!("error: cannot write to standard output: {error}");
        }
        // Nobody reads what is still to come.
        if gone { Status::DONE } else { Status::FAILED }.end();
    }
}
