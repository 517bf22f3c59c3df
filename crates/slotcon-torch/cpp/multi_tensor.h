// Optimizer steps over all parameters at once.
#pragma once
#include "tensors.h"

namespace slotcon {
struct StepRule;

// 1 where any gradient or the loss is not finite, else 0: a float scalar on their device, written to `found`.
void find_non_finite(Tensors gradients, const at::Tensor& loss, const at::Tensor& found);

// Moves parameters and momentum buffers, unless `found` is 1; gradients are multiplied by `inverse_scale` first.
void optimizer_step(Tensors parameters, Tensors gradients, Tensors momenta, const StepRule& rule,
                    const at::Tensor& inverse_scale, const at::Tensor& found);

// teacher += (student - teacher) * weight
void lerp(Tensors teacher, Tensors student, double weight);
}  // namespace slotcon
