// RoIAlign (arXiv 1703.06870), forward and backward.
#pragma once
#include "tensors.h"

namespace slotcon {
struct RoiAlignRule;

// features [B, C, H, W], boxes [R, 4] as x1, y1, x2, y2, pictures [R] (int64, 0 .. B): [R, C, height, width].
std::unique_ptr<at::Tensor> roi_align(const at::Tensor& features, const at::Tensor& boxes, const at::Tensor& pictures,
                                      const RoiAlignRule& rule);
}  // namespace slotcon
