//! Linear layers and 1x1 convolutions by the fastest matrix product that this libtorch carries.

use tch::Tensor;

use crate::error::Error;
use crate::ffi::{at, bridge, owned};

/// `x` `[N, input]` times `weight` `[output, input]` transposed, plus `bias` `[output]`: `[N, output]`, with gradients.
///
/// What `torch.nn.functional.linear` computes; float32 on a CPU by oneDNN instead of MKL, which is faster where the
/// processor is not Intel's (docs/performance.md) and differs from it by rounding alone.
///
/// # Errors
/// Shapes, types or devices that do not fit each other.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor, Error> {
    Ok(owned(bridge::linear(at(x), at(weight), at(bias))?))
}

/// A convolution by a kernel of 1x1 without bias: `x` `[B, input, h, w]`, `weight` `[output, input, 1, 1]` to
/// `[B, output, h, w]`, with gradients.
///
/// What `torch.nn.functional.conv2d` computes. libtorch leaves such convolutions of fewer than 16 pictures on one thread to
/// MKL; they go the way of [`linear`] here if channels are last in memory.
///
/// # Errors
/// Shapes, types or devices that do not fit each other.
pub fn convolve_1x1(x: &Tensor, weight: &Tensor) -> Result<Tensor, Error> {
    Ok(owned(bridge::convolve_1x1(at(x), at(weight))?))
}
