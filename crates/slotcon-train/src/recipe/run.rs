//! `[run]`: how long, how precisely, and what is kept.

use serde::{Deserialize, Serialize};
use tch::Kind;

use super::check::{positive, require};
use super::{OptimRecipe, RecipeError};

/// Number format of convolutions and matrix products; everything else is f32 at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// bf16 where it is faster than f32 on the run's device, which is tried at its start; the recipe of the run says which it became.
    Auto,
    /// 32-bit throughout.
    F32,
    /// bfloat16: no loss scaling needed; GPUs since 2020 and recent CPUs.
    Bf16,
    /// float16 with dynamic loss scaling.
    F16,
}

impl std::fmt::Display for Precision {
    /// As a recipe says it.
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Auto => "auto",
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::F16 => "f16",
        })
    }
}

impl Precision {
    /// Number format of convolutions and matrix products; `None`: f32, as of an `auto` that nobody has resolved
    /// ([`crate::precision::resolve`]).
    pub fn half(self) -> Option<Kind> {
        match self {
            Self::Auto | Self::F32 => None,
            Self::Bf16 => Some(Kind::BFloat16),
            Self::F16 => Some(Kind::Half),
        }
    }
}

/// `[run]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RunRecipe {
    /// Passes over the data. Set by itself (`--set`), it overrules `steps` and `stop_at` of the recipe.
    pub epochs: f64,
    /// Length of the whole run in steps, schedules included; 0: as `epochs` says.
    pub steps: u64,
    /// Step at which the run ends before its schedules do; 0: it ends with them. On few pictures the beginning of a long schedule is
    /// worth more than the whole of a short one.
    pub stop_at: u64,
    /// Of initialisation, order and augmentation.
    pub seed: u64,
    /// `auto`, `f32`, `bf16` or `f16`.
    pub precision: Precision,
    /// Threads of the network on a CPU. 0: as many as the machine has cores. Results are the same bit for bit only for
    /// the same number.
    pub threads: usize,
    /// Steps between two lines of metrics.
    pub log_every: u64,
    /// Steps between two checkpoints; 0: at the end only (and when the run is stopped).
    pub save_every: u64,
    /// Epochs between two checkpoints, besides those by steps; 0: none.
    pub save_every_epochs: u64,
    /// Numbered checkpoints kept; the newest is also `last.safetensors`.
    pub keep: usize,
    /// Steps between two validations, for tasks that validate; 0: at the end only (pretraining: none).
    pub validate_every: u64,
    /// Validations in a row without a better one after which the run ends; 0: it goes on to its end.
    pub patience: u64,
    /// Steps in a row with a loss or gradient that is not finite, after which the run stops.
    pub max_bad_steps: u64,
    /// Seconds that ranks wait for each other: at the start, for a sign of life, and in an operation over all of them. A
    /// rank that is silent for longer ends the run. Raise it where pictures or checkpoints may stall for longer.
    pub rank_timeout: f64,
}

impl Default for RunRecipe {
    fn default() -> Self {
        Self {
            epochs: 800.0,
            steps: 0,
            stop_at: 0,
            seed: 0,
            precision: Precision::F32,
            threads: 0,
            log_every: 10,
            save_every: 1000,
            save_every_epochs: 0,
            keep: 2,
            validate_every: 0,
            patience: 0,
            max_bad_steps: 20,
            rank_timeout: 300.0,
        }
    }
}

impl RunRecipe {
    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// The key, its value, and what would be right.
    pub fn check(&self, optim: &OptimRecipe) -> Result<(), RecipeError> {
        positive("run.epochs", self.epochs)?;
        require(
            self.steps > 0 || optim.warmup_steps > 0 || optim.warmup_epochs < self.epochs,
            "optim.warmup_epochs",
            optim.warmup_epochs,
            format!(
                "the warm-up must be shorter than the run, run.epochs = {}",
                self.epochs
            ),
        )?;
        // TOML has no larger integer, and a recipe must be writable.
        require(
            i64::try_from(self.seed).is_ok(),
            "run.seed",
            self.seed,
            "must be below 2^63",
        )?;
        require(
            self.log_every >= 1,
            "run.log_every",
            self.log_every,
            "must be at least 1",
        )?;
        require(
            self.max_bad_steps >= 1,
            "run.max_bad_steps",
            self.max_bad_steps,
            "must be at least 1",
        )?;
        require(
            self.patience == 0 || self.validate_every > 0,
            "run.patience",
            self.patience,
            "counts validations: set run.validate_every as well",
        )?;
        // Beyond this a duration overflows somewhere below.
        require(
            self.rank_timeout >= 1.0 && self.rank_timeout <= 1e6,
            "run.rank_timeout",
            self.rank_timeout,
            "must be from 1 to 1000000 seconds",
        )
    }
}
