// Linear layers and 1x1 convolutions by the fastest matrix product that this libtorch carries.
//
// at::linear multiplies float32 on a CPU by MKL, which uses half of an AMD processor's vector width. The same library
// carries oneDNN, but offers its products to inference only: here they get their gradients.
#include "linear.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/custom_function.h>

namespace slotcon {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

using Product = at::Tensor(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, std::string_view,
                           c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);

// None in a libtorch that was built without oneDNN.
const std::optional<c10::TypedOperatorHandle<Product>>& one_dnn() {
  static const auto found = []() -> std::optional<c10::TypedOperatorHandle<Product>> {
    auto handle = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    if (!handle || !at::hasMKLDNN()) return std::nullopt;
    return handle->typed<Product>();
  }();
  return found;
}

// a [m, k] times b [n, k] transposed, plus bias [n]; the strides of both may be those of a transposed matrix.
at::Tensor times_transposed(const at::Tensor& a, const at::Tensor& b, const std::optional<at::Tensor>& bias = {}) {
  return one_dnn()->call(a, b, bias, "none", c10::List<std::optional<at::Scalar>>(), "");
}

struct Linear : torch::autograd::Function<Linear> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias) {
    ctx->save_for_backward({x, weight});
    ctx->saved_data["biased"] = bias.has_value();
    return times_transposed(x, weight, bias);
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list gradients) {
    auto saved = ctx->get_saved_variables();
    const auto &x = saved[0], &weight = saved[1];
    const auto gradient = gradients[0].contiguous();
    at::Tensor of_x, of_weight, of_bias;
    if (ctx->needs_input_grad(0)) of_x = times_transposed(gradient, weight.t());
    if (ctx->needs_input_grad(1)) of_weight = times_transposed(gradient.t(), x.t());
    if (ctx->saved_data["biased"].toBool() && ctx->needs_input_grad(2)) of_bias = gradient.sum(0);
    return {of_x, of_weight, of_bias};
  }
};

// Autocast knows libtorch's operations, and what they compute in bf16 is oneDNN's already.
bool fits(const at::Tensor& x, const at::Tensor& weight) {
  for (const auto* t : {&x, &weight})
    if (!t->is_cpu() || t->scalar_type() != at::kFloat || t->numel() == 0) return false;
  return x.size(1) == weight.size(1) && !at::autocast::is_autocast_enabled(at::kCPU) && one_dnn();
}

}  // namespace

std::unique_ptr<at::Tensor> linear(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias) {
  bool matrices = x.dim() == 2 && weight.dim() == 2 && bias.dim() == 1 && weight.size(0) == bias.size(0);
  if (matrices && bias.scalar_type() == at::kFloat && fits(x, weight))
    return hand_over(Linear::apply(x, weight, std::make_optional(bias)));
  return hand_over(at::linear(x, weight, bias));
}

std::unique_ptr<at::Tensor> convolve_1x1(const at::Tensor& x, const at::Tensor& weight) {
  // Where at::conv2d chooses MKL.
  bool slow = at::get_num_threads() == 1 && x.dim() == 4 && x.size(0) < 16;
  if (slow && x.is_contiguous(at::MemoryFormat::ChannelsLast) && fits(x, weight)) {
    auto rows = x.permute({0, 2, 3, 1}).reshape({-1, x.size(1)});
    auto y = Linear::apply(rows, weight.flatten(1), std::optional<at::Tensor>());
    return hand_over(y.reshape({x.size(0), x.size(2), x.size(3), -1}).permute({0, 3, 1, 2}));
  }
  return hand_over(at::conv2d(x, weight));
}

}  // namespace slotcon
