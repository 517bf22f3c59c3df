//! How long a run is, and its learning rates.

use crate::checkpoint::Progress;
use crate::recipe::check::require;
use crate::recipe::{RecipeError, TaskRecipe};
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

    /// Makes the run that got as far as `progress` as long as planned; tells what that does to its schedules.
    ///
    /// # Errors
    /// A run that has already done more steps.
    pub fn extend(&mut self, progress: &mut Progress) -> Result<(), RecipeError> {
        let (before, done) = (progress.total_steps, progress.step);
        if before == self.total {
            return Ok(());
        }
        require(
            done <= self.total,
            "run.steps",
            self.total,
            format!("the run has done {done} steps already: give more"),
        )?;
        self.note = Some(format!(
            "the run was laid out for {before} steps and is now for {}: from step {done} on, learning rate (now {:.3e}) and other \
             schedules are those of a run of that length",
            self.total,
            self.rate.at(done)
        ));
        progress.total_steps = self.total;
        Ok(())
    }
}
