//! Transposed convolution.

use slotcon_torch::Error;
use tch::Tensor;

use crate::init::Init;
use crate::store::Path;

/// A 2x2 transposed convolution of stride 2, with bias: every position becomes four.
#[derive(Debug)]
pub struct Deconv {
    weight: Tensor,
    bias: Tensor,
}

impl Deconv {
    /// `weight [input, output, 2, 2]`, and `bias [output]` at zero, below `path`.
    pub fn new(path: &Path, input: i64, output: i64) -> Self {
        Self {
            weight: path.parameter("weight", &[input, output, 2, 2], Init::KaimingFanOut),
            bias: path.parameter("bias", &[output], Init::Constant(0.0)),
        }
    }

    /// `[B, input, h, w]` to `[B, output, 2h, 2w]`.
    ///
    /// # Errors
    /// Another number of input channels.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor, Error> {
        Ok(x.f_conv_transpose2d(&self.weight, Some(&self.bias), [2, 2], [0, 0], [0, 0], 1, [1, 1])?)
    }
}
