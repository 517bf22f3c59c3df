// Batch normalisation over the rows of all ranks, forward and backward (what torch.nn.SyncBatchNorm does, and on a CPU
// as well).
#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include "group.h"

namespace slotcon {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// Mean and biased variance of every channel of this rank's rows; zeros where it has none.
std::tuple<at::Tensor, at::Tensor> own_statistics(const at::Tensor& x, const at::Tensor& like) {
  auto mean = at::zeros_like(like);
  auto var = at::zeros_like(like);
  if (x.numel() == 0) return {mean, var};
  // The running statistics that are given tell the kernel in which type to accumulate; they are not ours.
  return at::batch_norm_update_stats(x, mean, var, 0.0);
}

// What is kept for the backward: mean and inverse standard deviation over all ranks, and the rows of each.
struct Statistics {
  at::Tensor mean;
  at::Tensor invstd;
  at::Tensor counts;
};

// Combines every rank's count, mean and variance by the parallel algorithm (Chan et al.), so that no mean is squared,
// and moves the running statistics by the unbiased variance of all rows.
Statistics over_all_ranks_cpu(GroupState& state, const at::Tensor& x, const at::Tensor& running_mean,
                              const at::Tensor& running_var, double momentum, double eps) {
  auto channels = x.size(1);
  auto [mean, var] = own_statistics(x, running_mean);
  auto rows = at::full({1}, static_cast<double>(x.numel() / channels), running_mean.options());
  auto all = state.all_gather(at::cat({mean, var, rows}), BATCH_NORM);
  auto counts = all.select(1, 2 * channels);
  auto total = counts.sum();
  auto share = (counts / total.clamp_min(1)).unsqueeze(1);
  auto means = all.narrow(1, 0, channels);
  auto vars = all.narrow(1, channels, channels);
  mean = (means * share).sum(0);
  var = ((vars + (means - mean).square()) * share).sum(0);
  // Fewer than two rows have no variance: the running statistics stay as they are.
  auto moved = total.ge(2).to(total.scalar_type()) * momentum;
  running_mean.lerp_(mean, moved);
  running_var.lerp_(var * (total / (total - 1).clamp_min(1)), moved);
  return {mean, (var + eps).rsqrt(), counts};
}

Statistics over_all_ranks_cuda(GroupState& state, const at::Tensor& x, const at::Tensor& running_mean,
                               const at::Tensor& running_var, double momentum, double eps) {
  TORCH_CHECK(x.numel() > 0, "batch norm over ranks on a GPU needs at least one row on every rank");
  auto channels = x.size(1);
  auto [mean, invstd] = at::batch_norm_stats(x, eps);
  auto rows = at::full({1}, static_cast<double>(x.numel() / channels), mean.options());
  auto all = state.all_gather(at::cat({mean, invstd, rows}), BATCH_NORM);
  auto counts = all.select(1, 2 * channels).contiguous();
  std::tie(mean, invstd) = at::batch_norm_gather_stats_with_counts(
      x, all.narrow(1, 0, channels), all.narrow(1, channels, channels), running_mean, running_var, momentum, eps,
      counts);
  return {mean, invstd, counts};
}

// The layouts that the kernels know: channels last stays, anything else becomes contiguous.
at::Tensor packed(const at::Tensor& x) {
  if (x.dim() == 4 && x.is_contiguous(at::MemoryFormat::ChannelsLast)) return x;
  return x.contiguous();
}

// A value a channel, in the shape that multiplies x.
at::Tensor by_channel(const at::Tensor& value, const at::Tensor& x) {
  std::vector<int64_t> shape(x.dim(), 1);
  shape[1] = value.size(0);
  return value.view(shape);
}

struct BatchNorm : torch::autograd::Function<BatchNorm> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& input, const at::Tensor& weight,
                            const at::Tensor& bias, const at::Tensor& running_mean, const at::Tensor& running_var,
                            double momentum, double eps, const c10::intrusive_ptr<GroupState>& state) {
    auto x = packed(input);
    auto over_all = x.is_cuda() ? over_all_ranks_cuda : over_all_ranks_cpu;
    auto [mean, invstd, counts] = over_all(*state, x, running_mean, running_var, momentum, eps);
    ctx->save_for_backward({x, weight, mean, invstd, counts});
    ctx->saved_data["state"] = c10::IValue::make_capsule(state);
    if (x.numel() == 0) return at::empty_like(x);
    if (x.is_cuda()) return at::batch_norm_elemt(x, weight, bias, mean, invstd, eps);
    // With given statistics the kernel only normalises. It adds eps to a variance: one that has it already.
    return std::get<0>(
        at::native_batch_norm(x, weight, bias, mean, invstd.pow(-2), /*training=*/false, momentum, /*eps=*/0));
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list gradients) {
    auto saved = ctx->get_saved_variables();
    auto state = c10::static_intrusive_pointer_cast<GroupState>(ctx->saved_data["state"].toCapsule());
    const auto &x = saved[0], &weight = saved[1], &mean = saved[2], &invstd = saved[3], &counts = saved[4];
    auto gradient = gradients[0];
    gradient = x.dim() == 4 ? gradient.contiguous(x.suggest_memory_format()) : gradient.contiguous();
    auto of = x.is_cuda() ? backward_cuda : backward_cpu;
    auto [of_x, of_weight, of_bias] = of(*state, gradient, x, weight, mean, invstd, counts);
    return {of_x, of_weight, of_bias, {}, {}, {}, {}, {}};
  }

  using Gradients = std::tuple<at::Tensor, at::Tensor, at::Tensor>;

  static Gradients backward_cuda(GroupState& state, const at::Tensor& gradient, const at::Tensor& x,
                                 const at::Tensor& weight, const at::Tensor& mean, const at::Tensor& invstd,
                                 const at::Tensor& counts) {
    auto [sum, sum_centred, of_weight, of_bias] =
        at::batch_norm_backward_reduce(gradient, x, mean, invstd, weight, true, true, true);
    auto sums = at::cat({sum, sum_centred});
    state.all_reduce(sums, c10d::ReduceOp::SUM, BATCH_NORM);
    auto channels = x.size(1);
    auto of_x = at::batch_norm_backward_elemt(gradient, x, mean, invstd, weight, sums.narrow(0, 0, channels),
                                              sums.narrow(0, channels, channels), counts.to(at::kInt));
    return {of_x, of_weight, of_bias};
  }

  static Gradients backward_cpu(GroupState& state, const at::Tensor& gradient, const at::Tensor& x,
                                const at::Tensor& weight, const at::Tensor& mean, const at::Tensor& invstd,
                                const at::Tensor& counts) {
    auto channels = x.size(1);
    at::Tensor of_x, of_weight, of_bias;
    if (x.numel() == 0) {
      of_x = at::zeros_like(x);
      of_weight = at::zeros_like(weight);
      of_bias = at::zeros_like(weight);
    } else {
      // As if the statistics were constants: weight * invstd * gradient, and the two sums over this rank's rows.
      std::tie(of_x, of_weight, of_bias) =
          at::native_batch_norm_backward(gradient, x, weight, mean, invstd.pow(-2), {}, {}, /*train=*/false,
                                         /*eps=*/0, {true, true, true});
    }
    auto sums = at::cat({of_bias, of_weight});
    state.all_reduce(sums, c10d::ReduceOp::SUM, BATCH_NORM);
    if (x.numel() == 0) return {of_x, of_weight, of_bias};
    // Less what the statistics themselves move:
    // weight * invstd * (mean gradient + normalised x * mean of gradient * normalised x).
    auto scale = weight * invstd / counts.sum();
    auto slope = scale * sums.narrow(0, channels, channels) * invstd;
    auto offset = scale * sums.narrow(0, 0, channels) - slope * mean;
    auto type = of_x.scalar_type();
    of_x = of_x.to(slope.scalar_type());
    of_x.addcmul_(x.to(slope.scalar_type()), by_channel(slope, x), -1).sub_(by_channel(offset, x));
    return {of_x.to(type), of_weight, of_bias};
  }
};

}  // namespace

std::unique_ptr<at::Tensor> Group::batch_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                              const at::Tensor& running_mean, const at::Tensor& running_var,
                                              double momentum, double eps) const {
  return hand_over(BatchNorm::apply(x, weight, bias, running_mean, running_var, momentum, eps, state_));
}

}  // namespace slotcon
