//! Learning rate: linear warm-up, then a cosine down to almost nothing, both per iteration
//! (upstream `GradualWarmupScheduler` over `CosineAnnealingLR`).

use std::f64::consts::PI;

/// Where the cosine ends.
pub(crate) const FINAL: f64 = 1e-6;

/// The learning rate of every iteration of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LearningRate {
    /// Reached at the end of the warm-up: base_lr * total batch / 256.
    pub peak: f64,
    /// The first iteration has `peak / warmup_multiplier`.
    pub warmup_multiplier: f64,
    /// Iterations of warm-up.
    pub warmup: u64,
    /// Iterations of the whole run.
    pub total: u64,
}

impl LearningRate {
    /// The learning rate that iteration `step` (from 0) uses.
    pub fn at(&self, step: u64) -> f64 {
        if self.warmup > 0 && step <= self.warmup {
            let m = self.warmup_multiplier;
            return self.peak / m * ((m - 1.0) * step as f64 / self.warmup as f64 + 1.0);
        }
        let after = (step - self.warmup) as f64 / (self.total - self.warmup) as f64;
        FINAL + (self.peak - FINAL) * (1.0 + (PI * after).cos()) / 2.0
    }
}
