//! Batch normalisation.

use std::cell::Cell;
use std::rc::Rc;

use slotcon_torch::Error;
use slotcon_torch::distributed::{Ranks, Traffic};
use tch::{Kind, Tensor};

use crate::init::Init;
use crate::store::{Norm, Path};

/// Whose statistics batch normalisation uses, and what learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum BatchNormMode {
    /// The batch's own, over all ranks; they also move the running ones.
    Train,
    /// The batch's own, over all ranks; the running ones become them: how [`crate::Store::norms`] are measured over many batches.
    Measure,
    /// The running ones, which stay as they are.
    #[default]
    Eval,
    /// The running ones, and no gradient reaches weight and bias either: a constant scale and shift per channel.
    Frozen,
}

/// Batch normalisation with running statistics (momentum 0.1, eps 1e-5), over positions and the pictures of all ranks.
#[derive(Debug)]
pub struct BatchNorm {
    ranks: Ranks,
    weight: Tensor,
    bias: Tensor,
    running_mean: Tensor,
    running_var: Tensor,
    num_batches_tracked: Tensor,
    values: Rc<Cell<i64>>,
}

impl BatchNorm {
    const MOMENTUM: f64 = 0.1;
    const EPS: f64 = 1e-5;

    /// Names and order of PyTorch: weight, bias, running_mean, running_var, num_batches_tracked.
    pub fn new(path: &Path, channels: i64) -> Self {
        Self::with_weight(path, channels, 1.0)
    }

    /// As [`BatchNorm::new`] with another initial weight (zero for the last one of a residual block).
    pub fn with_weight(path: &Path, channels: i64, weight: f64) -> Self {
        let shape = [channels];
        let norm = Self {
            ranks: path.ranks(),
            weight: path.parameter("weight", &shape, Init::Constant(weight)),
            bias: path.parameter("bias", &shape, Init::Constant(0.0)),
            running_mean: path.buffer("running_mean", &shape, 0.0),
            running_var: path.buffer("running_var", &shape, 1.0),
            num_batches_tracked: path.counter("num_batches_tracked"),
            values: Rc::default(),
        };
        path.norm(Norm {
            mean: norm.running_mean.shallow_clone(),
            var: norm.running_var.shallow_clone(),
            values: Rc::clone(&norm.values),
        });
        norm
    }

    /// `[B, C, h, w]` or `[N, C]`, normalised per channel by the statistics that `mode` says.
    ///
    /// # Errors
    /// Another number of channels, a rank that is gone.
    pub fn forward(&self, x: &Tensor, mode: BatchNormMode) -> Result<Tensor, Error> {
        let scale = [&self.weight, &self.bias];
        let running = [&self.running_mean, &self.running_var];
        let momentum = match mode {
            BatchNormMode::Measure => 1.0,
            _ => Self::MOMENTUM,
        };
        let train = matches!(mode, BatchNormMode::Train | BatchNormMode::Measure);
        if mode == BatchNormMode::Train {
            let _ = self.num_batches_tracked.shallow_clone().g_add_scalar_(1);
        } else if mode == BatchNormMode::Measure {
            self.values
                .set(x.numel() as i64 / x.size().get(1).copied().unwrap_or(1).max(1));
        }
        if train {
            let over_ranks = self.ranks.batch_norm(x, scale, running, momentum, Self::EPS);
            if let Some(y) = over_ranks {
                return y;
            }
        }
        let [weight, bias] = if mode == BatchNormMode::Frozen {
            scale.map(Tensor::detach)
        } else {
            scale.map(Tensor::shallow_clone)
        };
        let [mean, var] = running;
        Ok(x.f_batch_norm(
            Some(&weight),
            Some(&bias),
            Some(mean),
            Some(var),
            train,
            momentum,
            Self::EPS,
            true,
        )?)
    }

    /// Training mode over the rows of `x` `[N, C]` that `weights` `[N]` (1 or 0) selects, without a shape that depends on
    /// how many they are, so that nothing waits for the device. Rows not selected hold nothing of use.
    ///
    /// Equal to selecting the rows first. With fewer than two over all ranks the running statistics stay as they are.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn forward_selected(&self, x: &Tensor, weights: &Tensor) -> Result<Tensor, Error> {
        let _ = self.num_batches_tracked.shallow_clone().g_add_scalar_(1);
        let x = if x.kind() == Kind::Double {
            x.shallow_clone()
        } else {
            x.to_kind(Kind::Float)
        };
        let channels = x.size()[1];
        let weights = weights.to_kind(x.kind()).unsqueeze(-1);
        let sum = |t: Tensor| {
            let own = t.sum_dim_intlist(0, false, None);
            self.ranks.sum(&own, Traffic::BatchNorm)
        };
        let sums = sum(Tensor::cat(&[&x * &weights, weights.shallow_clone()], 1))?;
        let count = sums.get(channels).detach();
        let rows = count.clamp_min(1.0);
        let mean = sums.narrow(0, 0, channels) / &rows;
        let centred = &x - &mean;
        let var = sum(centred.square() * &weights)? / &rows;
        let _guard = tch::no_grad_guard();
        let share = count.ge(2.0).to_kind(x.kind()) * Self::MOMENTUM;
        let unbiased = &var * (&rows / (&rows - 1.0).clamp_min(1.0));
        let _ = self
            .running_mean
            .shallow_clone()
            .lerp_tensor_(&mean.detach(), &share);
        let _ = self
            .running_var
            .shallow_clone()
            .lerp_tensor_(&unbiased.detach(), &share);
        drop(_guard);
        Ok(centred / (var + Self::EPS).sqrt() * &self.weight + &self.bias)
    }
}
