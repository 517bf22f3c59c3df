// Gradients averaged over ranks while the backward pass goes on: c10d's Reducer.
#pragma once
#include <memory>

#include <torch/csrc/distributed/c10d/reducer.hpp>

#include "group.h"
#include "rust/cxx.h"

namespace slotcon {
class Reducer {
 public:
  explicit Reducer(std::unique_ptr<c10d::Reducer> inner) : inner_(std::move(inner)) {}
  // To be called between forward and backward; without it the gradients of this backward stay this rank's own.
  void prepare(const at::Tensor& loss) const;

 private:
  std::unique_ptr<c10d::Reducer> inner_;
};

// `find_unused`: whether a backward pass may leave parameters out.
std::unique_ptr<Reducer> new_reducer(const Group& group, Tensors parameters, bool find_unused);
}  // namespace slotcon
