//! Linear layers by the fastest matrix product that this libtorch carries.

use tch::Tensor;

use crate::error::Error;
use crate::ffi::{address, bridge, owned};

/// `x` `[N, input]` times `weight` `[output, input]` transposed, plus `bias` `[output]`: `[N, output]`, with gradients.
///
/// What `torch.nn.functional.linear` computes; float32 on a CPU by oneDNN instead of MKL, which is faster where the
/// processor is not Intel's (docs/performance.md) and differs from it by rounding alone.
///
/// # Errors
/// Shapes, types or devices that do not fit each other.
pub fn linear(x: &Tensor, weight: &Tensor, bias: &Tensor) -> Result<Tensor, Error> {
    Ok(owned(bridge::linear(address(x), address(weight), address(bias))?))
}
