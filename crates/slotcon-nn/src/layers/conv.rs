//! Two-dimensional convolution.

use slotcon_torch::Error;
use tch::Tensor;

use crate::init::Init;
use crate::store::Path;

/// Geometry of a square convolution, whether it adds a bias, and how its weights start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ConvConfig {
    /// Side of the kernel.
    pub kernel: i64,
    /// Step between outputs.
    pub stride: i64,
    /// Distance between the kernel's taps.
    pub dilation: i64,
    /// Number of channel groups.
    pub groups: i64,
    /// Whether a value per output channel, zero at first, is added.
    pub bias: bool,
    /// How the kernel starts.
    pub init: Init,
}

impl Default for ConvConfig {
    /// A 1x1 convolution without bias.
    fn default() -> Self {
        Self {
            kernel: 1,
            stride: 1,
            dilation: 1,
            groups: 1,
            bias: false,
            init: Init::KaimingFanOut,
        }
    }
}

impl ConvConfig {
    /// A 3x3 convolution without bias.
    pub fn three(stride: i64, dilation: i64) -> Self {
        Self {
            kernel: 3,
            stride,
            dilation,
            ..Self::default()
        }
    }
}

/// A convolution, padded so that stride 1 keeps the size.
#[derive(Debug)]
pub struct Conv2d {
    weight: Tensor,
    bias: Option<Tensor>,
    config: ConvConfig,
}

impl Conv2d {
    /// `weight [output, input/groups, k, k]` and, if asked for, `bias [output]` below `path`.
    pub fn new(path: &Path, input: i64, output: i64, config: ConvConfig) -> Self {
        let k = config.kernel;
        let weight = path.parameter("weight", &[output, input / config.groups, k, k], config.init);
        let bias = config
            .bias
            .then(|| path.parameter("bias", &[output], Init::Constant(0.0)));
        Self { weight, bias, config }
    }

    /// `[B, input, h, w]` to `[B, output, ceil(h/stride), ceil(w/stride)]`.
    ///
    /// # Errors
    /// Another number of input channels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        let ConvConfig {
            kernel,
            stride,
            dilation,
            groups,
            ..
        } = self.config;
        if (kernel, stride, groups) == (1, 1, 1) && self.bias.is_none() {
            return slotcon_torch::convolve_1x1(x, &self.weight);
        }
        let padding = (kernel - 1) / 2 * dilation;
        Ok(x.f_conv2d(
            &self.weight,
            self.bias.as_ref(),
            stride,
            padding,
            dilation,
            groups,
        )?)
    }
}
