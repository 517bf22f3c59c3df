// Optimizer steps over all parameters at once.
#pragma once
#include "tensors.h"

namespace slotcon {
struct StepRule;

// 1 where any gradient or the loss is not finite, else 0: a float scalar on their device, written to `found`.
void find_non_finite(Addresses gradients, std::size_t loss, std::size_t found);

// Moves parameters and momentum buffers, unless `found` is 1; gradients are multiplied by `inverse_scale` first.
void optimizer_step(Addresses parameters, Addresses gradients, Addresses momenta, const StepRule& rule,
                    std::size_t inverse_scale, std::size_t found);

// teacher += (student - teacher) * weight
void lerp(Addresses teacher, Addresses student, double weight);
}  // namespace slotcon
