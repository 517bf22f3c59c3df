// Tensors between Rust and C++. Rust lends them by reference and receives new ones as unique pointers.
#pragma once
#include <ATen/core/Tensor.h>

#include <memory>
#include <vector>

#include "rust/cxx.h"

namespace slotcon {
struct TensorRef;
using Tensors = rust::Slice<const TensorRef>;

std::vector<at::Tensor> to_vector(Tensors tensors);

inline std::unique_ptr<at::Tensor> hand_over(at::Tensor tensor) {
  return std::make_unique<at::Tensor>(std::move(tensor));
}
}  // namespace slotcon
