//! `[optim]`: how a network is trained.

use serde::{Deserialize, Serialize};

use super::RecipeError;
use super::check::{not_negative, positive, require};
use crate::optim::{Algorithm, OptimizerConfig};
use crate::schedule::{Decay, LearningRate};

/// The optimizers by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OptimizerName {
    /// Layer-wise adaptive rates: for large batches; wants base_lr around 1.
    Lars,
    /// Plain momentum SGD: for small batches; wants base_lr around 0.05.
    Sgd,
}

/// How the learning rate falls, by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ScheduleName {
    /// Half a cosine from the end of the warm-up to the end of the run.
    Cosine,
    /// A power of the part of the run that is left.
    Poly,
    /// Multiplied by `gamma` at each of `milestones`.
    Steps,
    /// Not at all.
    Constant,
}

/// `[optim]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct OptimRecipe {
    /// `lars` or `sgd`.
    pub optimizer: OptimizerName,
    /// Pictures a step, over all ranks. Learning rates scale with it by themselves, see `lr_batch`.
    pub batch: usize,
    /// Parts in which a rank takes its share of the batch, one after the other, for machines too small for all of it at
    /// once. The gradient is the mean over the parts; batch statistics, centre and negatives are those of a part, so a
    /// part should still be large (64 pictures and more over all ranks).
    pub accumulate: usize,
    /// Learning rate at batch `lr_batch`; the one used is base_lr * batch / lr_batch.
    pub base_lr: f64,
    /// The batch that `base_lr` is meant for; 0: for whatever batch there is.
    pub lr_batch: usize,
    /// Momentum of the optimizer.
    pub momentum: f64,
    /// L2 penalty.
    pub weight_decay: f64,
    /// η of LARS: size of a step over the size of the weights. 0.001 in the paper.
    pub trust: f64,
    /// Epochs of linear warm-up; fractions are fine.
    pub warmup_epochs: f64,
    /// Steps of linear warm-up instead of `warmup_epochs`; 0: as those say.
    pub warmup_steps: u64,
    /// The warm-up starts at the learning rate divided by this.
    pub warmup_multiplier: f64,
    /// How the learning rate falls after the warm-up: `cosine`, `poly`, `steps` or `constant`.
    pub schedule: ScheduleName,
    /// Where `cosine` and `poly` end.
    pub final_lr: f64,
    /// The exponent of `poly`.
    pub power: f64,
    /// The steps at which `steps` multiplies by `gamma`, rising.
    pub milestones: Vec<u64>,
    /// See `milestones`.
    pub gamma: f64,
}

impl Default for OptimRecipe {
    fn default() -> Self {
        Self {
            optimizer: OptimizerName::Lars,
            batch: 512,
            accumulate: 1,
            base_lr: 1.0,
            lr_batch: 256,
            momentum: 0.9,
            weight_decay: 1e-5,
            trust: 0.001,
            warmup_epochs: 5.0,
            warmup_steps: 0,
            warmup_multiplier: 100.0,
            schedule: ScheduleName::Cosine,
            final_lr: 1e-6,
            power: 0.9,
            milestones: Vec::new(),
            gamma: 0.1,
        }
    }
}

impl OptimRecipe {
    /// The optimizer's settings.
    pub fn config(&self) -> OptimizerConfig {
        OptimizerConfig {
            algorithm: match self.optimizer {
                OptimizerName::Lars => Algorithm::Lars { eta: self.trust },
                OptimizerName::Sgd => Algorithm::Sgd,
            },
            momentum: self.momentum,
            weight_decay: self.weight_decay,
        }
    }

    /// The learning rate of every step of a run of `total` steps.
    pub fn learning_rate(&self, steps_per_epoch: u64, total: u64) -> LearningRate {
        let scale = match self.lr_batch {
            0 => 1.0,
            of => self.batch as f64 / of as f64,
        };
        LearningRate {
            peak: self.base_lr * scale,
            warmup_multiplier: self.warmup_multiplier,
            warmup: match self.warmup_steps {
                0 => (self.warmup_epochs * steps_per_epoch as f64).round() as u64,
                steps => steps,
            },
            total,
            decay: match self.schedule {
                ScheduleName::Cosine => Decay::Cosine { end: self.final_lr },
                ScheduleName::Poly => Decay::Poly {
                    power: self.power,
                    end: self.final_lr,
                },
                ScheduleName::Steps => Decay::Steps {
                    at: self.milestones.clone(),
                    factor: self.gamma,
                },
                ScheduleName::Constant => Decay::Constant,
            },
        }
    }

    /// Pictures a step on each of `ranks`.
    ///
    /// # Errors
    /// A batch that cannot be shared out evenly, with the nearest that can.
    pub fn per_rank_batch(&self, ranks: usize) -> Result<usize, RecipeError> {
        let (batch, parts) = (self.batch, ranks * self.accumulate);
        let lower = batch / parts * parts;
        require(
            batch.is_multiple_of(parts),
            "optim.batch",
            batch,
            format!(
                "it is the total over all ranks and must be a multiple of {parts} ({ranks} ranks, optim.accumulate = {}): \
                 {}{} would do",
                self.accumulate,
                if lower > 0 {
                    format!("{lower} or ")
                } else {
                    String::new()
                },
                lower + parts
            ),
        )?;
        Ok(batch / ranks)
    }

    /// Refuses values that cannot work.
    ///
    /// # Errors
    /// The key, its value, and what would be right.
    pub fn check(&self) -> Result<(), RecipeError> {
        require(self.batch >= 1, "optim.batch", self.batch, "must be at least 1")?;
        require(
            self.accumulate >= 1 && self.batch.is_multiple_of(self.accumulate),
            "optim.accumulate",
            self.accumulate,
            format!("must be at least 1 and divide optim.batch = {}", self.batch),
        )?;
        positive("optim.base_lr", self.base_lr)?;
        require(
            (0.0..1.0).contains(&self.momentum),
            "optim.momentum",
            self.momentum,
            "must be at least 0 and below 1",
        )?;
        not_negative("optim.weight_decay", self.weight_decay)?;
        positive("optim.trust", self.trust)?;
        not_negative("optim.warmup_epochs", self.warmup_epochs)?;
        require(
            self.warmup_multiplier > 1.0 && self.warmup_multiplier.is_finite(),
            "optim.warmup_multiplier",
            self.warmup_multiplier,
            "must be above 1: the warm-up starts at the learning rate divided by it",
        )?;
        not_negative("optim.final_lr", self.final_lr)?;
        positive("optim.power", self.power)?;
        positive("optim.gamma", self.gamma)?;
        let rising = self.milestones.is_sorted_by(|a, b| a < b);
        require(
            rising,
            "optim.milestones",
            format!("{:?}", self.milestones),
            "must rise, each step once",
        )?;
        require(
            self.schedule != ScheduleName::Steps || !self.milestones.is_empty(),
            "optim.schedule",
            "steps",
            "optim.milestones must say at which steps the learning rate falls, e.g. [21000, 27000]",
        )
    }
}
