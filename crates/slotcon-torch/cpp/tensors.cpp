#include "tensors.h"

#include "slotcon-torch/src/ffi.rs.h"

namespace slotcon {

std::vector<at::Tensor> to_vector(Tensors tensors) {
  std::vector<at::Tensor> list;
  list.reserve(tensors.size());
  for (const auto& lent : tensors) list.push_back(lent.tensor);
  return list;
}

}  // namespace slotcon
