//! How long a run is, and its learning rates.

use crate::recipe::TaskRecipe;
use crate::schedule::LearningRate;

/// Lengths that follow from recipe and data set.
pub(crate) struct Plan {
    pub total: u64,
    pub rate: LearningRate,
    /// What the user should know of it.
    pub note: Option<String>,
}

impl Plan {
    /// A warm-up that is not shorter than the run, as that of a short trial of a long recipe, becomes its first tenth.
    pub fn new<R: TaskRecipe>(recipe: &R, steps_per_epoch: u64) -> Self {
        let (optim, run) = (recipe.optim(), recipe.run());
        let by_epochs = (run.epochs * steps_per_epoch as f64).round() as u64;
        let total = if run.steps > 0 {
            run.steps
        } else {
            by_epochs.max(1)
        };
        let mut rate = optim.learning_rate(steps_per_epoch, total);
        let mut note = None;
        if rate.warmup >= total {
            let shorter = total / 10;
            note = Some(format!(
                "the recipe's warm-up of {} steps does not fit into a run of {total}: it is shortened to {shorter}",
                rate.warmup
            ));
            rate.warmup = shorter;
        }
        Self { total, rate, note }
    }
}
