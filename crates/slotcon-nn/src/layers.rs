//! Convolution, batch normalisation and linear layers over tensors that a [`crate::Store`] holds.

use slotcon_torch::Error;
use slotcon_torch::distributed::{Ranks, Traffic};
use tch::{Kind, Tensor};

use crate::store::{Init, Path};

/// Geometry of a square 2-d convolution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConvConfig {
    /// Side of the kernel.
    pub kernel: i64,
    /// Step between outputs.
    pub stride: i64,
    /// Distance between the kernel's taps.
    pub dilation: i64,
    /// Number of channel groups.
    pub groups: i64,
}

impl Default for ConvConfig {
    fn default() -> Self {
        Self {
            kernel: 1,
            stride: 1,
            dilation: 1,
            groups: 1,
        }
    }
}

/// A convolution without bias, padded so that stride 1 keeps the size.
#[derive(Debug)]
pub struct Conv2d {
    weight: Tensor,
    config: ConvConfig,
}

impl Conv2d {
    /// `weight [output, input/groups, k, k]`, He fan-out normal as upstream: std² = 2 / (k² output).
    pub fn new(path: &Path, input: i64, output: i64, config: ConvConfig) -> Self {
        let k = config.kernel;
        let std = (2.0 / (k * k * output) as f64).sqrt();
        let weight = path.parameter(
            "weight",
            &[output, input / config.groups, k, k],
            Init::Normal(std),
        );
        Self { weight, config }
    }

    /// `[B, input, h, w]` to `[B, output, h/stride, w/stride]`.
    ///
    /// # Errors
    /// Another number of input channels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let ConvConfig {
            kernel,
            stride,
            dilation,
            groups,
        } = self.config;
        if (kernel, stride, groups) == (1, 1, 1) {
            return slotcon_torch::convolve_1x1(x, &self.weight);
        }
        let padding = (kernel - 1) / 2 * dilation;
        Ok(x.f_conv2d(&self.weight, None::<Tensor>, stride, padding, dilation, groups)?)
    }
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
        Self {
            ranks: path.ranks(),
            weight: path.parameter("weight", &shape, Init::Constant(weight)),
            bias: path.parameter("bias", &shape, Init::Constant(0.0)),
            running_mean: path.buffer("running_mean", &shape, 0.0),
            running_var: path.buffer("running_var", &shape, 1.0),
            num_batches_tracked: path.counter("num_batches_tracked"),
        }
    }

    /// `[B, C, h, w]` or `[N, C]`, normalised per channel: in training by the batch's own statistics (over all ranks),
    /// which also move the running ones; otherwise by the running ones.
    ///
    /// # Errors
    /// A rank that is gone.
    pub fn forward(&self, x: &Tensor, train: bool) -> Result<Tensor, Error> {
        let scale = [&self.weight, &self.bias];
        let running = [&self.running_mean, &self.running_var];
        if train {
            let _ = self.num_batches_tracked.shallow_clone().g_add_scalar_(1);
            let over_ranks = self
                .ranks
                .batch_norm(x, scale, running, Self::MOMENTUM, Self::EPS);
            if let Some(y) = over_ranks {
                return y;
            }
        }
        let ([weight, bias], [mean, var]) = (scale, running);
        let y = x.batch_norm(
            Some(weight),
            Some(bias),
            Some(mean),
            Some(var),
            train,
            Self::MOMENTUM,
            Self::EPS,
            true,
        );
        Ok(y)
    }
}

impl BatchNorm {
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

/// A linear layer with bias. Its weight may carry trailing dimensions of size one, so that PyTorch's 1x1
/// convolutions are the same matrix product under their own name and shape.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// `weight [output, input]` (`[output, input, 1, 1]` with `conv`), normal with std 0.02; zero bias.
    ///
    /// Upstream truncates the normal at ±2, a hundred standard deviations: the same distribution.
    pub fn new(path: &Path, input: i64, output: i64, conv: bool) -> Self {
        let shape: &[i64] = if conv {
            &[output, input, 1, 1]
        } else {
            &[output, input]
        };
        Self {
            weight: path.parameter("weight", shape, Init::Normal(0.02)),
            bias: path.parameter("bias", &[output], Init::Constant(0.0)),
        }
    }

    /// `[N, input]` to `[N, output]`.
    ///
    /// # Errors
    /// Another number of input features.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        slotcon_torch::linear(x, &self.weight.flatten(1, -1), &self.bias)
    }
}
