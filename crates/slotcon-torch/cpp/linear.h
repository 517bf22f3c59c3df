// Linear layers and 1x1 convolutions by the fastest matrix product that this libtorch carries.
#pragma once
#include "tensors.h"

namespace slotcon {
// x [N, input], weight [output, input], bias [output] to [N, output].
std::unique_ptr<at::Tensor> linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias);

// x [B, input, h, w], weight [output, input, 1, 1] to [B, output, h, w].
std::unique_ptr<at::Tensor> convolve_1x1(const at::Tensor& x, const at::Tensor& weight);
}  // namespace slotcon
