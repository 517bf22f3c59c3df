//! How long a run is, and its schedules.

use crate::error::Error;
use crate::recipe::{Recipe, RecipeError};
use crate::schedule::LearningRate;

/// Lengths that follow from recipe and data set.
pub(super) struct Plan {
    pub total: u64,
    pub momentum_steps: u64,
    pub rate: LearningRate,
}

impl Plan {
    pub fn new(recipe: &Recipe, steps_per_epoch: u64, pictures: u64) -> Result<Self, Error> {
        let (optim, run) = (&recipe.optim, &recipe.run);
        let by_epochs = (run.epochs * steps_per_epoch as f64).round() as u64;
        let total = if run.steps > 0 {
            run.steps
        } else {
            by_epochs.max(1)
        };
        let warmup = (optim.warmup_epochs * steps_per_epoch as f64).round() as u64;
        if warmup >= total {
            return Err(RecipeError::Value {
                key: "optim.warmup_epochs".into(),
                value: optim.warmup_epochs.to_string(),
                reason: format!(
                    "the warm-up of {warmup} steps ({steps_per_epoch} an epoch) must be shorter than the run of {total}: \
                     lower it or train longer"
                ),
            }
            .into());
        }
        // Upstream counts the dropped last batches here.
        let momentum_steps = if run.steps > 0 {
            total
        } else {
            ((pictures as f64 / optim.batch as f64 * run.epochs) as u64).max(total)
        };
        let peak = optim.base_lr * optim.batch as f64 / 256.0;
        let rate = LearningRate {
            peak,
            warmup_multiplier: optim.warmup_multiplier,
            warmup,
            total,
        };
        Ok(Self {
            total,
            momentum_steps,
            rate,
        })
    }
}
