// Optimizer steps over all parameters at once.
#pragma once
#include "tensors.h"

namespace slotcon {
struct StepRule;

// What the first half of a step found out about one group of parameters for the second.
struct Inspection {
  // LARS: by how much each update is multiplied, [n]; else undefined.
  at::Tensor trust;
  // LARS by libtorch's operations: gradients with their weight decay, where that is not zero; else empty.
  std::vector<at::Tensor> updates;
};

// Reads every gradient, with LARS every weight as well, and writes 1 to `found` (a float scalar) if a gradient is not finite.
std::unique_ptr<Inspection> inspect(Tensors parameters, Tensors gradients, const StepRule& rule,
                                    const at::Tensor& inverse_scale, const at::Tensor& found);

// Moves parameters and momentum buffers, unless `found` is 1; gradients are multiplied by `inverse_scale` first.
void optimizer_step(Tensors parameters, Tensors gradients, Tensors momenta, const StepRule& rule,
                    const Inspection& inspection, const at::Tensor& inverse_scale, const at::Tensor& found);

// targets += (sources - targets) * weight
void lerp(Tensors targets, Tensors sources, double weight);
}  // namespace slotcon
