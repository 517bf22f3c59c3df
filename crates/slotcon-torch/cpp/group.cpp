#include "group.h"

#include <ATen/DeviceAccelerator.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/comm.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

namespace slotcon {

namespace {

// Gloo's work threads. Bucketed gradients may occupy two for long, and batch norm must not queue behind them.
constexpr int GLOO_THREADS = 4;
// What `broadcast` sends at once.
constexpr std::size_t BROADCAST_BYTES = 250 << 20;

struct Sum : torch::autograd::Function<Sum> {
  static at::Tensor forward(torch::autograd::AutogradContext* ctx, const at::Tensor& x,
                            const c10::intrusive_ptr<GroupState>& state, int64_t traffic) {
    ctx->saved_data["state"] = c10::IValue::make_capsule(state);
    ctx->saved_data["traffic"] = traffic;
    auto total = x.clone(at::MemoryFormat::Contiguous);
    state->all_reduce(total, c10d::ReduceOp::SUM, static_cast<uint8_t>(traffic));
    return total;
  }

  static torch::autograd::tensor_list backward(torch::autograd::AutogradContext* ctx,
                                               torch::autograd::tensor_list gradients) {
    auto state = state_of(ctx->saved_data["state"]);
    auto total = gradients[0].clone(at::MemoryFormat::Contiguous);
    auto traffic = static_cast<uint8_t>(ctx->saved_data["traffic"].toInt());
    state->all_reduce(total, c10d::ReduceOp::SUM, traffic);
    return {total, at::Tensor(), at::Tensor()};
  }

  static c10::intrusive_ptr<GroupState> state_of(const c10::IValue& value) {
    return c10::static_intrusive_pointer_cast<GroupState>(value.toCapsule());
  }
};

}  // namespace

void GroupState::count(const at::Tensor& tensor, uint8_t traffic) {
  bytes.at(traffic) += static_cast<int64_t>(tensor.nbytes());
  operations += 1;
}

void GroupState::all_reduce(at::Tensor& tensor, c10d::ReduceOp::RedOpType op, uint8_t traffic) {
  count(tensor, traffic);
  c10d::AllreduceOptions options;
  options.reduceOp = op;
  std::vector<at::Tensor> tensors{tensor};
  try {
    group->allreduce(tensors, options)->wait();
  } catch (...) {
    broken = true;
    throw;
  }
}

at::Tensor GroupState::all_gather(const at::Tensor& tensor, uint8_t traffic) {
  auto input = tensor.contiguous();
  count(input, traffic);
  auto shape = input.sizes().vec();
  shape.insert(shape.begin(), size());
  auto output = at::empty(shape, input.options());
  auto flat = output.view({-1});
  auto own = input.view({-1});
  try {
    group->_allgather_base(flat, own)->wait();
  } catch (...) {
    broken = true;
    throw;
  }
  return output;
}

void Group::all_reduce(const at::Tensor& tensor, bool max, uint8_t traffic) const {
  c10::NoGradGuard no_grad;
  // Another handle on the same memory.
  auto target = tensor;
  state_->all_reduce(target, max ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM, traffic);
}

std::unique_ptr<at::Tensor> Group::all_gather(const at::Tensor& tensor, uint8_t traffic) const {
  c10::NoGradGuard no_grad;
  return hand_over(state_->all_gather(tensor, traffic));
}

std::unique_ptr<at::Tensor> Group::sum(const at::Tensor& tensor, uint8_t traffic) const {
  return hand_over(Sum::apply(tensor, state_, static_cast<int64_t>(traffic)));
}

void Group::broadcast(Tensors tensors) const {
  c10::NoGradGuard no_grad;
  auto list = to_vector(tensors);
  try {
    c10d::broadcast_coalesced(state_->group, list, BROADCAST_BYTES, 0);
  } catch (...) {
    state_->broken = true;
    throw;
  }
}

std::shared_ptr<Group> join_group(const Store& store, int32_t rank, int32_t size, int64_t timeout_ms,
                                  rust::Str address, int32_t gpu) {
  auto timeout = std::chrono::milliseconds(timeout_ms);
  auto state = c10::make_intrusive<GroupState>();
  state->group = c10::make_intrusive<c10d::ProcessGroup>(store.inner(), rank, size);

  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->threads = GLOO_THREADS;
  // The variable by which PyTorch's users name the interface.
  const char* interface = std::getenv("GLOO_SOCKET_IFNAME");
  using Gloo = c10d::ProcessGroupGloo;
  options->devices.push_back(!address.empty() ? Gloo::createDeviceForHostname(std::string(address))
                             : interface      ? Gloo::createDeviceForInterface(interface)
                                              : Gloo::createDefaultDevice());
  auto own = c10::make_intrusive<c10d::PrefixStore>("gloo/", store.inner());
  auto gloo = c10::make_intrusive<c10d::ProcessGroupGloo>(own, rank, size, options);
  state->group->setBackend(at::kCPU, c10d::ProcessGroup::BackendType::GLOO, gloo);
  state->group->setDefaultBackend(c10d::ProcessGroup::BackendType::GLOO);
  if (gpu >= 0) {
#ifdef USE_C10D_NCCL
    // What is not told where to go goes to the current device, which would be the first one on every rank.
    at::accelerator::setDeviceIndex(static_cast<c10::DeviceIndex>(gpu));
    auto options = c10d::ProcessGroupNCCL::Options::create();
    options->timeout = timeout;
    auto own = c10::make_intrusive<c10d::PrefixStore>("nccl/", store.inner());
    auto nccl = c10::make_intrusive<c10d::ProcessGroupNCCL>(own, rank, size, options);
    state->group->setBackend(at::kCUDA, c10d::ProcessGroup::BackendType::NCCL, nccl);
    state->group->setDefaultBackend(c10d::ProcessGroup::BackendType::NCCL);
#else
    TORCH_CHECK(false, "this program was built for the CPU, without NCCL");
#endif
  }
  return std::make_shared<Group>(std::move(state));
}

bool has_nccl() {
#ifdef USE_C10D_NCCL
  return true;
#else
  return false;
#endif
}

}  // namespace slotcon
