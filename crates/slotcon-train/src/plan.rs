//! How long a run is, and its learning rates.

use crate::error::Error;
use crate::recipe::{RecipeError, TaskRecipe};
use crate::schedule::LearningRate;

/// Lengths that follow from recipe and data set.
pub(crate) struct Plan {
    pub total: u64,
    pub rate: LearningRate,
}

impl Plan {
    pub fn new<R: TaskRecipe>(recipe: &R, steps_per_epoch: u64) -> Result<Self, Error> {
        let (optim, run) = (recipe.optim(), recipe.run());
        let by_epochs = (run.epochs * steps_per_epoch as f64).round() as u64;
        let total = if run.steps > 0 {
            run.steps
        } else {
            by_epochs.max(1)
        };
        let rate = optim.learning_rate(steps_per_epoch, total);
        if rate.warmup >= total {
            let (key, value) = match optim.warmup_steps {
                0 => ("optim.warmup_epochs", optim.warmup_epochs.to_string()),
                steps => ("optim.warmup_steps", steps.to_string()),
            };
            return Err(RecipeError::Value {
                key: key.into(),
                value,
                reason: format!(
                    "the warm-up of {} steps ({steps_per_epoch} an epoch) must be shorter than the run of {total}: \
                     lower it or train longer",
                    rate.warmup
                ),
            }
            .into());
        }
        Ok(Self { total, rate })
    }
}
