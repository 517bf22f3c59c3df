#include "nms.h"

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "kernel.h"

namespace slotcon {

namespace {

// x > threshold for every float x exactly if x > this.
float as_float(double threshold) {
  auto nearest = static_cast<float>(threshold);
  return nearest <= threshold ? nearest : std::nextafter(nearest, -INFINITY);
}

// Boxes of one group, highest score first, a coordinate an array.
struct BoxesOfGroup {
  std::vector<int64_t> rank;
  std::vector<float> x1, y1, x2, y2, area;
  std::vector<uint8_t> suppressed;

  void push(int64_t at, const float* box) {
    rank.push_back(at);
    x1.push_back(box[0]);
    y1.push_back(box[1]);
    x2.push_back(box[2]);
    y2.push_back(box[3]);
    area.push_back((box[2] - box[0]) * (box[3] - box[1]));
    suppressed.push_back(0);
  }

  void suppress(float threshold) {
    auto n = rank.size();
    for (std::size_t i = 0; i < n; ++i) {
      if (suppressed[i]) continue;
      for (std::size_t j = i + 1; j < n; ++j) {
        auto w = std::max(std::min(x2[i], x2[j]) - std::max(x1[i], x1[j]), 0.f);
        auto h = std::max(std::min(y2[i], y2[j]) - std::max(y1[i], y1[j]), 0.f);
        auto both = w * h;
        suppressed[j] |= both / (area[i] + area[j] - both) > threshold;
      }
    }
  }
};

// Which of the sorted boxes are kept.
std::vector<uint8_t> by_kernel(const at::Tensor& boxes, const at::Tensor& groups, float threshold) {
  const auto* box = boxes.const_data_ptr<float>();
  const auto* group = groups.const_data_ptr<int64_t>();
  std::map<int64_t, BoxesOfGroup> found;
  for (int64_t i = 0; i < boxes.size(0); ++i) found[group[i]].push(i, box + 4 * i);
  std::vector<BoxesOfGroup*> list;
  for (auto& [id, of_group] : found) list.push_back(&of_group);
  at::parallel_for(0, static_cast<int64_t>(list.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto i = begin; i < end; ++i) list[i]->suppress(threshold);
  });
  std::vector<uint8_t> keep(boxes.size(0));
  for (const auto* of_group : list)
    for (std::size_t i = 0; i < of_group->rank.size(); ++i) keep[of_group->rank[i]] = !of_group->suppressed[i];
  return keep;
}

// The same with the overlaps of all pairs computed on the boxes' device; the host goes through them once.
std::vector<uint8_t> by_operations(const at::Tensor& boxes, const at::Tensor& groups, float threshold) {
  auto corner = [&](int64_t from) { return boxes.narrow(1, from, 2); };
  auto size = corner(2) - corner(0);
  auto area = size.select(1, 0) * size.select(1, 1);
  auto low = at::maximum(corner(0).unsqueeze(1), corner(0).unsqueeze(0));
  auto high = at::minimum(corner(2).unsqueeze(1), corner(2).unsqueeze(0));
  auto shared = (high - low).clamp_min(0);
  auto both = shared.select(2, 0) * shared.select(2, 1);
  auto overlap = both / (area.unsqueeze(1) + area.unsqueeze(0) - both);
  auto same = groups.unsqueeze(1).eq(groups.unsqueeze(0));
  auto suppresses = overlap.gt(threshold).logical_and_(same).to(at::kCPU).contiguous();
  const auto* row = suppresses.const_data_ptr<bool>();
  auto n = boxes.size(0);
  std::vector<uint8_t> keep(n, 1);
  for (int64_t i = 0; i < n; ++i) {
    if (!keep[i]) continue;
    for (auto j = i + 1; j < n; ++j) keep[j] &= !row[i * n + j];
  }
  return keep;
}

}  // namespace

std::unique_ptr<at::Tensor> nms(const at::Tensor& boxes, const at::Tensor& scores, const at::Tensor& groups,
                                double threshold, bool operations) {
  c10::NoGradGuard no_grad;
  TORCH_CHECK(boxes.dim() == 2 && boxes.size(1) == 4, "NMS takes boxes [N, 4], not ", boxes.sizes());
  for (const auto* t : {&scores, &groups})
    TORCH_CHECK(t->dim() == 1 && t->size(0) == boxes.size(0), "NMS takes a score and a group for each of the ",
                boxes.size(0), " boxes, not ", t->sizes());
  auto order = std::get<1>(scores.to(at::kFloat).sort(/*stable=*/true, /*dim=*/0, /*descending=*/true));
  auto sorted = boxes.to(at::kFloat).index_select(0, order).contiguous();
  auto of_group = groups.to(boxes.device(), at::kLong).index_select(0, order).contiguous();
  auto limit = as_float(threshold);
  auto keep = boxes.is_cpu() && !operations ? by_kernel(sorted, of_group, limit)
                                            : by_operations(sorted, of_group, limit);
  std::vector<int64_t> kept;
  for (std::size_t i = 0; i < keep.size(); ++i)
    if (keep[i]) kept.push_back(static_cast<int64_t>(i));
  auto positions = at::tensor(kept, at::TensorOptions().dtype(at::kLong)).to(order.device());
  return hand_over(order.index_select(0, positions));
}

}  // namespace slotcon
