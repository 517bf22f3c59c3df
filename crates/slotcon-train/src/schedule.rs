//! The learning rate of every step: a linear warm-up, then a decay, both per step.

use std::f64::consts::PI;

/// How the learning rate falls.
#[derive(Debug, Clone, PartialEq)]
pub enum Decay {
    /// Half a cosine from the end of the warm-up to the end of the run, down to `end` (upstream's `GradualWarmupScheduler`
    /// over `CosineAnnealingLR`).
    Cosine {
        /// The last value.
        end: f64,
    },
    /// (peak - end) * (1 - step / total)^power + end, over the whole run (MMSegmentation's `poly`).
    Poly {
        /// The exponent.
        power: f64,
        /// The last value.
        end: f64,
    },
    /// Multiplied by `factor` at each of these steps (`MultiStepLR`; the step named is the first with the lower rate).
    Steps {
        /// Rising.
        at: Vec<u64>,
        /// 0.1 as a rule.
        factor: f64,
    },
    /// It does not.
    Constant,
}

/// The learning rate of every step of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct LearningRate {
    /// Reached at the end of the warm-up.
    pub peak: f64,
    /// The first step has `peak / warmup_multiplier`.
    pub warmup_multiplier: f64,
    /// Steps of warm-up.
    pub warmup: u64,
    /// Steps of the whole run.
    pub total: u64,
    /// What comes after the warm-up.
    pub decay: Decay,
}

impl LearningRate {
    /// The learning rate that step `step` (from 0) uses.
    pub fn at(&self, step: u64) -> f64 {
        if self.warmup > 0 && step <= self.warmup {
            let m = self.warmup_multiplier;
            return self.peak / m * ((m - 1.0) * step as f64 / self.warmup as f64 + 1.0);
        }
        match &self.decay {
            Decay::Cosine { end } => {
                let after = (step - self.warmup) as f64 / (self.total - self.warmup) as f64;
                end + (self.peak - end) * (1.0 + (PI * after).cos()) / 2.0
            }
            Decay::Poly { power, end } => {
                let left = 1.0 - step as f64 / self.total as f64;
                (self.peak - end) * left.powf(*power) + end
            }
            Decay::Steps { at, factor } => {
                let passed = at.iter().filter(|&&milestone| milestone <= step).count();
                self.peak * factor.powi(passed as i32)
            }
            Decay::Constant => self.peak,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(decay: Decay) -> LearningRate {
        LearningRate {
            peak: 0.01,
            warmup_multiplier: 100.0,
            warmup: 0,
            total: 80_000,
            decay,
        }
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 5e-11, "{a} {b}");
    }

    /// The values of the ADE20K configuration of MMSegmentation.
    #[test]
    fn poly_falls_to_its_end() {
        let rate = rate(Decay::Poly {
            power: 0.9,
            end: 1e-4,
        });
        for (step, value) in [
            (0, 0.01),
            (1, 0.0099998886),
            (40_000, 0.0054052786),
            (79_999, 0.0001003827),
        ] {
            close(rate.at(step), value);
        }
    }

    #[test]
    fn steps_fall_at_their_milestones_not_before() {
        let rate = rate(Decay::Steps {
            at: vec![21_000, 27_000],
            factor: 0.1,
        });
        for (step, value) in [(20_999, 0.01), (21_000, 0.001), (26_999, 0.001), (27_000, 0.0001)] {
            close(rate.at(step), value);
        }
    }

    /// detectron2's `WarmupMultiStepLR` with a factor of 1/1000 over 1000 steps.
    #[test]
    fn a_warm_up_comes_before_every_decay() {
        for decay in [
            Decay::Constant,
            Decay::Steps {
                at: vec![60_000],
                factor: 0.1,
            },
        ] {
            let rate = LearningRate {
                warmup: 1000,
                warmup_multiplier: 1000.0,
                ..rate(decay)
            };
            close(rate.at(0), 1e-5);
            close(rate.at(500), 0.01 * (0.001 * 0.5 + 0.5));
            close(rate.at(1000), 0.01);
            close(rate.at(2000), 0.01);
        }
    }

    #[test]
    fn the_cosine_ends_where_it_is_told() {
        let rate = rate(Decay::Cosine { end: 1e-6 });
        close(rate.at(0), 0.01);
        close(rate.at(40_000), (0.01 + 1e-6) / 2.0);
        close(rate.at(80_000), 1e-6);
    }
}
