// Ranks that compute together: c10d's process group, with Gloo for tensors on the CPU and NCCL for those on GPUs.
#pragma once
#include <array>
#include <atomic>
#include <cstdint>
#include <memory>

#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>

#include "rust/cxx.h"
#include "store.h"
#include "tensors.h"

namespace slotcon {

// What bytes are sent for, as `Traffic` in Rust numbers it.
constexpr std::size_t TRAFFIC_KINDS = 6;
constexpr uint8_t GRADIENTS = 0;
constexpr uint8_t BATCH_NORM = 1;

// Held by autograd nodes, too, which outlive the call that makes them.
struct GroupState : torch::CustomClassHolder {
  c10::intrusive_ptr<c10d::ProcessGroup> group;
  std::array<std::atomic<int64_t>, TRAFFIC_KINDS> bytes{};
  std::atomic<int64_t> operations{0};
  std::atomic<bool> broken{false};

  int size() const { return group->getSize(); }
  // Counts an operation to which this rank contributes `tensor`.
  void count(const at::Tensor& tensor, uint8_t traffic);
  // In place; waits for the end (of the other ranks, too) on a CPU, has the stream wait on a GPU.
  void all_reduce(at::Tensor& tensor, c10d::ReduceOp::RedOpType op, uint8_t traffic);
  // [W, ...]: every rank's `tensor`, all of one shape.
  at::Tensor all_gather(const at::Tensor& tensor, uint8_t traffic);
};

class Group {
 public:
  explicit Group(c10::intrusive_ptr<GroupState> state) : state_(std::move(state)) {}

  void all_reduce(const at::Tensor& tensor, bool max, uint8_t traffic) const;
  std::unique_ptr<at::Tensor> all_gather(const at::Tensor& tensor, uint8_t traffic) const;
  // Differentiable: the gradient is the sum over ranks of their gradients.
  std::unique_ptr<at::Tensor> sum(const at::Tensor& tensor, uint8_t traffic) const;
  // Rank 0's values into every rank's tensors.
  void broadcast(Tensors tensors) const;
  // Training mode over the rows of all ranks.
  std::unique_ptr<at::Tensor> batch_norm(const at::Tensor& x, const at::Tensor& weight, const at::Tensor& bias,
                                         const at::Tensor& running_mean, const at::Tensor& running_var,
                                         double momentum, double eps) const;

  int64_t bytes(uint8_t traffic) const { return state_->bytes.at(traffic).load(); }
  int64_t operations() const { return state_->operations.load(); }
  // Whether an operation failed: the ranks are no longer together.
  bool broken() const { return state_->broken.load(); }

  const c10::intrusive_ptr<GroupState>& state() const { return state_; }

 private:
  c10::intrusive_ptr<GroupState> state_;
};

// All ranks have to call this. `address`: of the interface that Gloo uses; empty: that of the host's name. `gpu`: with
// NCCL as well, for the GPU of that number; -1: none.
std::shared_ptr<Group> join_group(const Store& store, int32_t rank, int32_t size, int64_t timeout_ms, rust::Str address,
                                  int32_t gpu);
// Whether this build has NCCL.
bool has_nccl();
}  // namespace slotcon
