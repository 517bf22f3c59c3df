// Non-maximum suppression.
#pragma once
#include "tensors.h"

namespace slotcon {
// boxes [N, 4] as x1, y1, x2, y2, scores [N], groups [N] (int64): positions of those kept (int64), highest score first. A
// box is left out if it overlaps a kept one of its group by more than `threshold`. `operations`: libtorch's, as on a GPU.
std::unique_ptr<at::Tensor> nms(const at::Tensor& boxes, const at::Tensor& scores, const at::Tensor& groups,
                                double threshold, bool operations);
}  // namespace slotcon
