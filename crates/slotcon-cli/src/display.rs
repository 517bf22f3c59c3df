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
