//! Memory layouts.

use tch::Tensor;

/// The same values with channels innermost in memory: the layout that oneDNN and cuDNN convolve fastest.
///
/// `x`: 4-d, `[B, C, h, w]`; the result has the same shape.
pub fn channels_last(x: &Tensor) -> Tensor {
    // tch has no MemoryFormat: permuting, packing and permuting back gives the strides of channels_last.
    x.permute([0, 2, 3, 1]).contiguous().permute([0, 3, 1, 2])
}
