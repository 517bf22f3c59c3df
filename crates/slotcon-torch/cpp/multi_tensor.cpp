#include "multi_tensor.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <cmath>

#include "kernel.h"
#include "slotcon-torch/src/ffi.rs.h"

namespace slotcon {

namespace {

using List = std::vector<at::Tensor>;

// Elements that a thread takes at once; sums are over these, in order, so that they do not depend on the threads.
constexpr int64_t CHUNK = 1 << 15;
// Independent sums in the inner loop, as many as the compiler can keep in vectors.
constexpr int LANES = 16;

// Whether both hold their elements in the same order without gaps; strides of dimensions of size one mean nothing.
bool same_layout(const at::Tensor& a, const at::Tensor& b) {
  if (a.sizes() != b.sizes() || !a.is_non_overlapping_and_dense()) return false;
  for (int64_t d = 0; d < a.dim(); ++d)
    if (a.size(d) != 1 && a.stride(d) != b.stride(d)) return false;
  return true;
}

// Gradients in the layout of their parameters.
List aligned(const List& parameters, List gradients) {
  TORCH_CHECK(parameters.size() == gradients.size(), "an optimizer step got ", parameters.size(), " parameters and ",
              gradients.size(), " gradients");
  for (std::size_t i = 0; i < gradients.size(); ++i)
    if (!same_layout(gradients[i], parameters[i]))
      gradients[i] = at::empty_like(parameters[i]).copy_(gradients[i]);
  return gradients;
}

// Where the kernels below apply: elements on the CPU, of one type. (A GPU's kernels are libtorch's.)
bool fits(const StepRule& rule, const List& parameters, const List& gradients) {
  if (rule.operations) return false;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto &p = parameters[i], &g = gradients[i];
    auto type = p.scalar_type();
    bool known = type == at::kFloat || type == at::kDouble;
    if (!p.is_cpu() || !g.is_cpu() || !known || g.scalar_type() != type || !p.is_non_overlapping_and_dense())
      return false;
  }
  return true;
}

// LARS leaves parameters of one dimension as they are: biases, and the scale of batch norm.
bool adapts(const StepRule& rule, const at::Tensor& parameter) { return rule.lars && parameter.dim() != 1; }

double decay_of(const StepRule& rule, const at::Tensor& parameter) {
  return rule.lars && !adapts(rule, parameter) ? 0 : rule.weight_decay;
}

void mark_non_finite(const at::Tensor& sum, const at::Tensor& found) {
  found.copy_(at::maximum(found, at::isfinite(sum).logical_not().to(found.options())));
}

struct Squares {
  double weight = 0;
  double update = 0;
};

template <typename T>
SLOTCON_INLINED Squares squares_of(const T* __restrict weights, const T* __restrict gradients, int64_t n, T scale,
                                   T decay) {
  double weight[LANES] = {}, update[LANES] = {};
  int64_t i = 0;
  for (; i + LANES <= n; i += LANES)
    for (int lane = 0; lane < LANES; ++lane) {
      const double w = weights[i + lane], u = gradients[i + lane] * scale + decay * weights[i + lane];
      weight[lane] += w * w;
      update[lane] += u * u;
    }
  for (; i < n; ++i) {
    const double w = weights[i], u = gradients[i] * scale + decay * weights[i];
    weight[0] += w * w;
    update[0] += u * u;
  }
  Squares sum;
  for (int lane = 0; lane < LANES; ++lane) {
    sum.weight += weight[lane];
    sum.update += update[lane];
  }
  return sum;
}

// What one step multiplies by.
template <typename T>
struct Factors {
  T scale, trust, decay, momentum, lr;
};

template <typename T>
SLOTCON_INLINED void move_by(T* __restrict parameters, T* __restrict momenta, const T* __restrict gradients, int64_t n,
                             Factors<T> f) {
  for (int64_t i = 0; i < n; ++i) {
    const T velocity = f.momentum * momenta[i] + f.trust * (gradients[i] * f.scale + f.decay * parameters[i]);
    momenta[i] = velocity;
    parameters[i] -= f.lr * velocity;
  }
}

// Squared lengths of weights and of updates, gradient * scale + decay * weight.
SLOTCON_VECTORISED Squares squares_of_chunk(const float* w, const float* g, int64_t n, float scale, float decay) {
  return squares_of<float>(w, g, n, scale, decay);
}

SLOTCON_VECTORISED Squares squares_of_chunk(const double* w, const double* g, int64_t n, double scale, double decay) {
  return squares_of<double>(w, g, n, scale, decay);
}

SLOTCON_VECTORISED void move_chunk(float* p, float* m, const float* g, int64_t n, Factors<float> factors) {
  move_by<float>(p, m, g, n, factors);
}

SLOTCON_VECTORISED void move_chunk(double* p, double* m, const double* g, int64_t n, Factors<double> factors) {
  move_by<double>(p, m, g, n, factors);
}

template <typename T>
Squares squares(const at::Tensor& parameter, const at::Tensor& gradient, double scale, double decay) {
  const auto *weights = parameter.const_data_ptr<T>(), *gradients = gradient.const_data_ptr<T>();
  auto size = parameter.numel();
  std::vector<Squares> chunks((size + CHUNK - 1) / CHUNK);
  at::parallel_for(0, static_cast<int64_t>(chunks.size()), 1, [&](int64_t first, int64_t end) {
    for (auto c = first; c < end; ++c)
      chunks[c] = squares_of_chunk(weights + c * CHUNK, gradients + c * CHUNK, std::min(CHUNK, size - c * CHUNK),
                                   static_cast<T>(scale), static_cast<T>(decay));
  });
  Squares sum;
  for (const auto& chunk : chunks) {
    sum.weight += chunk.weight;
    sum.update += chunk.update;
  }
  return sum;
}

template <typename T>
void move(const at::Tensor& parameter, const at::Tensor& gradient, const at::Tensor& momentum, Factors<T> factors) {
  auto *p = parameter.mutable_data_ptr<T>(), *m = momentum.mutable_data_ptr<T>();
  const auto* g = gradient.const_data_ptr<T>();
  at::parallel_for(0, parameter.numel(), CHUNK, [&](int64_t first, int64_t end) {
    move_chunk(p + first, m + first, g + first, end - first, factors);
  });
}

at::Tensor inspect_by_kernel(const List& p, const List& g, const StepRule& rule, double scale,
                             const at::Tensor& found) {
  auto trust = at::ones({static_cast<int64_t>(p.size())}, at::kDouble);
  auto* values = trust.mutable_data_ptr<double>();
  bool finite = true;
  for (std::size_t i = 0; i < p.size(); ++i) {
    Squares sum;
    by_type(p[i], [&](auto type) { sum = squares<decltype(type)>(p[i], g[i], scale, decay_of(rule, p[i])); });
    finite &= std::isfinite(sum.update);
    auto weight = std::sqrt(sum.weight), update = std::sqrt(sum.update);
    if (adapts(rule, p[i]) && weight > 0 && update > 0) values[i] = rule.eta * weight / update;
  }
  if (!finite) found.fill_(1);
  return trust;
}

// The same by libtorch's operations, which a GPU runs without telling the host anything.
Inspection inspect_by_operations(const List& p, List g, const StepRule& rule, const at::Tensor& found) {
  if (!rule.lars) {
    mark_non_finite(at::stack(at::_foreach_norm(g)).sum(), found);
    return {};
  }
  List adapted, weights;
  for (std::size_t i = 0; i < p.size(); ++i)
    if (adapts(rule, p[i])) {
      weights.push_back(p[i]);
      adapted.push_back(g[i]);
    }
  if (!adapted.empty()) {
    adapted = at::_foreach_add(adapted, weights, rule.weight_decay);
    for (std::size_t i = 0, k = 0; i < p.size(); ++i)
      if (adapts(rule, p[i])) g[i] = adapted[k++];
  }
  auto update = at::stack(at::_foreach_norm(g));
  mark_non_finite(update.sum(), found);
  auto trust = at::ones_like(update);
  if (!adapted.empty()) {
    auto norms = at::stack(at::_foreach_norm(weights)).unbind();
    auto none = at::zeros_like(norms[0]);
    List weight;
    for (std::size_t i = 0, k = 0; i < p.size(); ++i) weight.push_back(adapts(rule, p[i]) ? norms[k++] : none);
    auto length = at::stack(weight);
    trust = at::where(length.gt(0).logical_and(update.gt(0)), length * rule.eta / update, trust);
  }
  return {trust, g};
}

}  // namespace

std::unique_ptr<Inspection> inspect(Tensors parameters, Tensors gradients, const StepRule& rule,
                                    const at::Tensor& inverse_scale, const at::Tensor& found) {
  c10::NoGradGuard no_grad;
  auto p = to_vector(parameters);
  auto g = aligned(p, to_vector(gradients));
  if (p.empty()) return std::make_unique<Inspection>();
  if (rule.lars && fits(rule, p, g)) {
    double scale = rule.scaled ? inverse_scale.item<double>() : 1;
    return std::make_unique<Inspection>(Inspection{inspect_by_kernel(p, g, rule, scale, found), {}});
  }
  if (rule.lars && rule.scaled) g = at::_foreach_mul(g, inverse_scale);
  return std::make_unique<Inspection>(inspect_by_operations(p, g, rule, found));
}

void optimizer_step(Tensors parameters, Tensors gradients, Tensors momenta, const StepRule& rule,
                    const Inspection& inspection, const at::Tensor& inverse_scale, const at::Tensor& found) {
  c10::NoGradGuard no_grad;
  auto p = to_vector(parameters);
  auto m = to_vector(momenta);
  auto g = aligned(p, to_vector(gradients));
  TORCH_CHECK(p.size() == m.size(), "an optimizer step got ", p.size(), " parameters and ", m.size(), " momenta");
  if (p.empty()) return;
  for (std::size_t i = 0; i < p.size(); ++i)
    TORCH_CHECK(same_layout(m[i], p[i]) && m[i].scalar_type() == p[i].scalar_type(),
                "a momentum buffer has another shape, layout or type than its parameter");
  // Without LARS libtorch's own step is one pass already.
  if (rule.lars && fits(rule, p, g)) {
    if (found.item<double>() != 0) return;
    double scale = rule.scaled ? inverse_scale.item<double>() : 1;
    for (std::size_t i = 0; i < p.size(); ++i) {
      double trust = inspection.trust.defined() ? inspection.trust.const_data_ptr<double>()[i] : 1;
      by_type(p[i], [&](auto type) {
        using T = decltype(type);
        move<T>(p[i], g[i], m[i],
                {static_cast<T>(scale), static_cast<T>(trust), static_cast<T>(decay_of(rule, p[i])),
                 static_cast<T>(rule.momentum), static_cast<T>(rule.lr)});
      });
    }
    return;
  }
  double decay = rule.weight_decay;
  if (rule.lars) {
    decay = 0;
    g = inspection.updates;
    at::_foreach_mul_(g, inspection.trust.unbind());
  } else if (rule.scaled) {
    g = at::_foreach_mul(g, inverse_scale);
  }
  // The momentum buffers start at zero, so the first step is like every other.
  at::_fused_sgd_(p, g, m, decay, rule.momentum, rule.lr, /*dampening=*/0, /*nesterov=*/false, /*maximize=*/false,
                  /*is_first_step=*/false, /*grad_scale=*/{}, found);
}

void lerp(Tensors targets, Tensors sources, double weight) {
  c10::NoGradGuard no_grad;
  at::_foreach_lerp_(to_vector(targets), to_vector(sources), at::Scalar(weight));
}

}  // namespace slotcon
