//! Linear layer.

use slotcon_torch::Error;
use tch::Tensor;

use crate::init::Init;
use crate::store::Path;

/// A linear layer with bias.
#[derive(Debug)]
pub struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    /// Standard deviation of the official heads' weights. Upstream truncates that normal distribution at ±2, a hundred
    /// standard deviations: the same distribution.
    pub const HEAD: Init = Init::Normal(0.02);

    /// `weight [output, input]`, and `bias [output]` at zero, below `path`.
    pub fn new(path: &Path, input: i64, output: i64, init: Init) -> Self {
        Self::shaped(path, &[output, input], init)
    }

    /// The same matrix stored under the shape of a 1x1 convolution, `weight [output, input, 1, 1]`, so that PyTorch's
    /// weights fit by name and shape.
    pub fn pointwise(path: &Path, input: i64, output: i64, init: Init) -> Self {
        Self::shaped(path, &[output, input, 1, 1], init)
    }

    fn shaped(path: &Path, shape: &[i64], init: Init) -> Self {
        Self {
            weight: path.parameter("weight", shape, init),
            bias: path.parameter("bias", &shape[..1], Init::Constant(0.0)),
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
