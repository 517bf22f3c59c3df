// Tensors between Rust and C++: addresses of at::Tensor.
#pragma once
#include <ATen/core/Tensor.h>

#include <cstddef>
#include <vector>

#include "rust/cxx.h"

namespace slotcon {
// The caller keeps them alive.
using Addresses = rust::Slice<const std::size_t>;

inline at::Tensor& tensor(std::size_t address) { return *reinterpret_cast<at::Tensor*>(address); }

inline std::vector<at::Tensor> tensors(Addresses addresses) {
  std::vector<at::Tensor> list;
  list.reserve(addresses.size());
  for (auto address : addresses) list.push_back(tensor(address));
  return list;
}

// A new at::Tensor, which the receiver owns.
inline std::size_t hand_over(at::Tensor tensor) {
  return reinterpret_cast<std::size_t>(new at::Tensor(std::move(tensor)));
}
}  // namespace slotcon
