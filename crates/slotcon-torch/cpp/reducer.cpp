#include "reducer.h"

#include <torch/csrc/distributed/c10d/comm.hpp>

namespace slotcon {

namespace {

// The mean over ranks, counted.
class Average : public c10d::CppCommHookInterface<c10::intrusive_ptr<GroupState>> {
 public:
  using CppCommHookInterface::CppCommHookInterface;

  c10::intrusive_ptr<c10::ivalue::Future> runHook(c10d::GradBucket& bucket) override {
    std::vector<at::Tensor> tensors{bucket.getBufferRef()};
    state_->count(tensors[0], GRADIENTS);
    // Before the sum, which may overflow.
    tensors[0].div_(state_->size());
    auto future = state_->group->allreduce(tensors)->getFuture();
    auto state = state_;
    future->addCallback([state](c10::ivalue::Future& done) {
      if (done.hasError()) state->broken = true;
    });
    return future;
  }
};

}  // namespace

void Reducer::prepare(const at::Tensor& loss) const {
  // Once, after the first pass: buckets in the order in which gradients came.
  if (inner_->should_rebuild_buckets()) inner_->rebuild_buckets();
  inner_->prepare_for_backward({loss});
}

std::unique_ptr<Reducer> new_reducer(const Group& group, Tensors tensors, bool find_unused) {
  auto parameters = to_vector(tensors);
  std::vector<bool> dense(parameters.size(), false);
  // The last parameters get their gradients first.
  auto [buckets, limits] = c10d::compute_bucket_assignment_by_size(
      parameters, {c10d::kDefaultFirstBucketBytes, c10d::kDefaultBucketBytesCap}, dense);
  std::reverse(buckets.begin(), buckets.end());
  auto inner = std::make_unique<c10d::Reducer>(
      parameters, buckets, group.state()->group, dense, c10d::kDefaultBucketBytesCap, find_unused,
      /*gradient_as_bucket_view=*/false, std::unordered_map<size_t, std::string>(), c10d::kDefaultFirstBucketBytes,
      /*skip_all_reduce_unused_params=*/false, /*use_python_reducer=*/false, std::vector<int64_t>());
  inner->register_comm_hook(std::make_unique<Average>(group.state()));
  return std::make_unique<Reducer>(std::move(inner));
}

}  // namespace slotcon
