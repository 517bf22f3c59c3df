//! Dynamic loss scaling for f16: gradients are kept in range by a factor that halves when they overflow and doubles
//! after a long time without (as PyTorch's `GradScaler`), all on the device.

use tch::{Device, Kind, Tensor};

use crate::checkpoint::LossScaleState;
use crate::training_step::scalar;

/// The scale grows by this factor,
pub const GROWTH: f64 = 2.0;
/// and shrinks by this one (PyTorch's defaults, all four).
pub const BACKOFF: f64 = 0.5;
/// It grows after so many good steps in a row.
pub const INTERVAL: i64 = 2000;
/// The first scale.
pub const INITIAL: f64 = 65536.0;

/// The scale and how many steps it has held.
#[derive(Debug)]
pub struct LossScale {
    scale: Tensor,
    held: Tensor,
}

impl LossScale {
    /// A fresh scale, or a saved `state`.
    pub fn new(device: Device, state: Option<LossScaleState>) -> Self {
        let LossScaleState { value, good_steps } = state.unwrap_or(LossScaleState {
            value: INITIAL,
            good_steps: 0,
        });
        Self {
            scale: Tensor::full([1], value, (Kind::Float, device)),
            held: Tensor::full([1], good_steps as i64, (Kind::Int, device)),
        }
    }

    /// `loss` times the scale.
    pub fn apply(&self, loss: &Tensor) -> Tensor {
        loss * self.scale.squeeze()
    }

    /// What gradients are multiplied by to undo it.
    pub fn inverse(&self) -> Tensor {
        self.scale.squeeze().reciprocal()
    }

    /// After a step; `skipped` is 1 if it overflowed.
    pub fn update(&mut self, skipped: &Tensor) {
        let skipped = skipped.reshape([1]);
        let _ = self
            .scale
            .internal_amp_update_scale_(&self.held, &skipped, GROWTH, BACKOFF, INTERVAL);
    }

    /// For checkpoints and logs; waits for the device.
    pub fn state(&self) -> LossScaleState {
        LossScaleState {
            value: scalar(&self.scale.squeeze()),
            good_steps: scalar(&self.held.squeeze().to_kind(Kind::Float)) as u64,
        }
    }
}
