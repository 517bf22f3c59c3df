#include "multi_tensor.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <vector>

#include "slotcon-torch/src/ffi.rs.h"

namespace slotcon {

void find_non_finite(Tensors gradients, const at::Tensor& loss, const at::Tensor& found) {
  c10::NoGradGuard no_grad;
  auto norms = at::_foreach_norm(to_vector(gradients));
  // The sum is finite only if every norm and the loss are.
  auto sum = at::stack(norms).sum() + loss.abs();
  found.copy_(at::isfinite(sum).logical_not());
}

void optimizer_step(Tensors parameters, Tensors gradients, Tensors momenta, const StepRule& rule,
                    const at::Tensor& inverse_scale, const at::Tensor& found) {
  c10::NoGradGuard no_grad;
  auto p = to_vector(parameters);
  auto g = to_vector(gradients);
  auto m = to_vector(momenta);
  if (rule.scaled) at::_foreach_mul_(g, inverse_scale);

  double decay = rule.weight_decay;
  if (rule.lars) {
    decay = 0;
    std::vector<std::size_t> adapted;
    std::vector<at::Tensor> weights, updates;
    for (std::size_t i = 0; i < p.size(); ++i) {
      if (p[i].dim() == 1) continue;
      adapted.push_back(i);
      weights.push_back(p[i]);
      updates.push_back(g[i]);
    }
    if (!adapted.empty()) {
      updates = at::_foreach_add(updates, weights, rule.weight_decay);
      auto weight_norm = at::stack(at::_foreach_norm(weights));
      auto update_norm = at::stack(at::_foreach_norm(updates));
      auto both = weight_norm.gt(0).logical_and(update_norm.gt(0));
      auto trust = at::where(both, weight_norm * rule.eta / update_norm, at::ones_like(weight_norm));
      at::_foreach_mul_(updates, trust.unbind());
      for (std::size_t k = 0; k < adapted.size(); ++k) g[adapted[k]] = updates[k];
    }
  }
  // The momentum buffers start at zero, so the first step is like every other.
  at::_fused_sgd_(p, g, m, decay, rule.momentum, rule.lr, /*dampening=*/0, /*nesterov=*/false, /*maximize=*/false,
                  /*is_first_step=*/false, /*grad_scale=*/{}, found);
}

void lerp(Tensors teacher, Tensors student, double weight) {
  c10::NoGradGuard no_grad;
  at::_foreach_lerp_(to_vector(teacher), to_vector(student), at::Scalar(weight));
}

}  // namespace slotcon
