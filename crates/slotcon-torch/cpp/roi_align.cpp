// A bin is the mean of a grid of bilinear samples. Which rows a sample reads, and by what weight, does not depend on its
// column, so the weights of a bin are a product of one vector along y and one along x: instead of four reads a sample there
// is one read for each position of the map that the bin touches.
#include "roi_align.h"

#include <ATen/ATen.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>

#include "kernel.h"
#include "slotcon-torch/src/ffi.rs.h"

namespace slotcon {

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

// Channels that stay in registers while the positions of a bin go by.
constexpr int64_t BLOCK = 64;

// Positions along one axis that the bins of a box read: bin p reads `first[p] ..` with the weights
// `weights[start[p]] .. weights[start[p + 1]]`.
template <typename T>
struct Taps {
  std::vector<int64_t> first, start{0};
  std::vector<T> weights;

  int64_t count(int64_t bin) const { return start[bin + 1] - start[bin]; }
};

// Where a sample lies between two positions of a map of `length`; false: outside, where everything is zero.
template <typename T>
bool neighbours(T at, int64_t length, int64_t& low, int64_t& high, T& beyond) {
  if (at < -1 || at > length) return false;
  at = std::max<T>(at, 0);
  low = static_cast<int64_t>(at);
  if (low >= length - 1) {
    low = high = length - 1;
    beyond = 0;
  } else {
    high = low + 1;
    beyond = at - low;
  }
  return true;
}

template <typename T>
Taps<T> taps(T start, T size, int64_t bins, int64_t grid, int64_t length) {
  Taps<T> taps;
  auto bin_size = size / static_cast<T>(bins);
  for (int64_t bin = 0; bin < bins; ++bin) {
    auto sample = [&](int64_t i) {
      return start + static_cast<T>(bin) * bin_size + static_cast<T>(i + 0.5f) * bin_size / static_cast<T>(grid);
    };
    int64_t low = 0, high = 0, first = length, last = -1;
    T beyond = 0;
    for (int64_t i = 0; i < grid; ++i)
      if (neighbours<T>(sample(i), length, low, high, beyond)) {
        first = std::min(first, low);
        last = std::max(last, high);
      }
    auto offset = taps.weights.size();
    taps.first.push_back(first);
    if (last >= first) taps.weights.resize(offset + last - first + 1, 0);
    for (int64_t i = 0; i < grid; ++i)
      if (neighbours<T>(sample(i), length, low, high, beyond)) {
        taps.weights[offset + low - first] += (1 - beyond) / static_cast<T>(grid);
        taps.weights[offset + high - first] += beyond / static_cast<T>(grid);
      }
    taps.start.push_back(static_cast<int64_t>(taps.weights.size()));
  }
  return taps;
}

template <typename T>
struct Box {
  int64_t picture;
  Taps<T> y, x;
};

// Both arguments on the CPU, boxes in the features' type.
template <typename T>
std::vector<Box<T>> place(const at::Tensor& boxes, const at::Tensor& pictures, int64_t batch, int64_t height,
                          int64_t width, const RoiAlignRule& rule) {
  const auto* box = boxes.const_data_ptr<T>();
  const auto* picture = pictures.const_data_ptr<int64_t>();
  std::vector<Box<T>> placed(boxes.size(0));
  auto scale = static_cast<T>(rule.scale);
  auto offset = static_cast<T>(rule.aligned ? 0.5 : 0);
  for (int64_t r = 0; r < boxes.size(0); ++r) {
    TORCH_CHECK(picture[r] >= 0 && picture[r] < batch, "box ", r, " belongs to picture ", picture[r],
                " of a batch of ", batch);
    for (int64_t i = 0; i < 4; ++i)
      TORCH_CHECK(std::isfinite(box[4 * r + i]), "a coordinate of box ", r, " is not finite");
  }
  at::parallel_for(0, boxes.size(0), 64, [&](int64_t begin, int64_t end) {
    for (auto r = begin; r < end; ++r) {
      auto axis = [&](int64_t i, int64_t bins, int64_t length) {
        auto start = box[4 * r + i] * scale - offset;
        auto size = box[4 * r + i + 2] * scale - offset - start;
        if (!rule.aligned) size = std::max<T>(size, 1);
        auto grid = rule.sampling > 0 ? rule.sampling
                                      : static_cast<int64_t>(std::ceil(size / static_cast<T>(bins)));
        return taps<T>(start, size, bins, grid, length);
      };
      placed[r] = {picture[r], axis(1, rule.height, height), axis(0, rule.width, width)};
    }
  });
  return placed;
}

// out[0 .. channels] = sum over the positions of a bin; `row` and `column`: from one position to the next.
template <typename T>
SLOTCON_INLINED void weigh(T* __restrict out, const T* map, int64_t row, int64_t column,
                                                 const T* of_y, int64_t rows, const T* of_x, int64_t columns,
                                                 int64_t channels) {
  int64_t c = 0;
  for (; c + BLOCK <= channels; c += BLOCK) {
    T sum[BLOCK] = {};
    for (int64_t y = 0; y < rows; ++y)
      for (int64_t x = 0; x < columns; ++x) {
        const T weight = of_y[y] * of_x[x];
        const T* values = map + y * row + x * column + c;
        for (int64_t k = 0; k < BLOCK; ++k) sum[k] += weight * values[k];
      }
    for (int64_t k = 0; k < BLOCK; ++k) out[c + k] = sum[k];
  }
  for (; c < channels; ++c) {
    T sum = 0;
    for (int64_t y = 0; y < rows; ++y)
      for (int64_t x = 0; x < columns; ++x) sum += of_y[y] * of_x[x] * map[y * row + x * column + c];
    out[c] = sum;
  }
}

// out[0 .. n] += weight * values
template <typename T>
SLOTCON_INLINED void add(T* __restrict out, const T* __restrict values, T weight, int64_t n) {
  for (int64_t k = 0; k < n; ++k) out[k] += weight * values[k];
}

SLOTCON_VECTORISED void weigh_bin(float* out, const float* map, int64_t row, int64_t column, const float* of_y,
                                  int64_t rows, const float* of_x, int64_t columns, int64_t channels) {
  weigh<float>(out, map, row, column, of_y, rows, of_x, columns, channels);
}

SLOTCON_VECTORISED void weigh_bin(double* out, const double* map, int64_t row, int64_t column, const double* of_y,
                                  int64_t rows, const double* of_x, int64_t columns, int64_t channels) {
  weigh<double>(out, map, row, column, of_y, rows, of_x, columns, channels);
}

SLOTCON_VECTORISED void add_weighted(float* out, const float* values, float weight, int64_t n) {
  add<float>(out, values, weight, n);
}

SLOTCON_VECTORISED void add_weighted(double* out, const double* values, double weight, int64_t n) {
  add<double>(out, values, weight, n);
}

// Channels innermost in memory, shape unchanged.
at::Tensor channels_last(const at::Tensor& x) { return x.contiguous(at::MemoryFormat::ChannelsLast); }

template <typename T>
at::Tensor forward_kernel(const at::Tensor& features, const std::vector<Box<T>>& boxes, const RoiAlignRule& rule) {
  auto channels = features.size(1), height = features.size(2), width = features.size(3);
  auto out = at::empty({static_cast<int64_t>(boxes.size()), channels, rule.height, rule.width}, features.options(),
                       at::MemoryFormat::ChannelsLast);
  const auto* map = features.const_data_ptr<T>();
  auto* bins = out.template mutable_data_ptr<T>();
  at::parallel_for(0, static_cast<int64_t>(boxes.size()), 1, [&](int64_t begin, int64_t end) {
    for (auto r = begin; r < end; ++r) {
      const auto& box = boxes[r];
      for (int64_t p = 0; p < rule.height; ++p)
        for (int64_t q = 0; q < rule.width; ++q) {
          auto position = (box.picture * height + box.y.first[p]) * width + box.x.first[q];
          weigh_bin(bins + ((r * rule.height + p) * rule.width + q) * channels, map + position * channels,
                    width * channels, channels, box.y.weights.data() + box.y.start[p], box.y.count(p),
                    box.x.weights.data() + box.x.start[q], box.x.count(q), channels);
        }
    }
  });
  return out;
}

// Every row of the map is summed up by one thread, boxes in their order: the result does not depend on the threads.
template <typename T>
at::Tensor backward_kernel(const at::Tensor& gradient, const std::vector<Box<T>>& boxes, at::IntArrayRef shape,
                           const RoiAlignRule& rule) {
  auto channels = shape[1], height = shape[2], width = shape[3];
  auto out = at::empty(shape, gradient.options(), at::MemoryFormat::ChannelsLast).zero_();
  const auto* bins = gradient.const_data_ptr<T>();
  auto* map = out.template mutable_data_ptr<T>();
  auto threads = static_cast<int64_t>(at::get_num_threads());
  at::parallel_for(0, threads, 1, [&](int64_t begin, int64_t end) {
    std::vector<T> of_row(rule.width * channels);
    for (auto thread = begin; thread < end; ++thread)
      for (std::size_t r = 0; r < boxes.size(); ++r) {
        const auto& box = boxes[r];
        int64_t first = height, last = 0;
        for (int64_t p = 0; p < rule.height; ++p) {
          first = std::min(first, box.y.first[p]);
          last = std::max(last, box.y.first[p] + box.y.count(p));
        }
        for (auto y = first; y < last; ++y) {
          if ((box.picture * height + y) % threads != thread) continue;
          // The gradient of each of the row's bins, summed over the bins above each other that read this row.
          std::fill(of_row.begin(), of_row.end(), T(0));
          for (int64_t p = 0; p < rule.height; ++p) {
            auto tap = y - box.y.first[p];
            if (tap < 0 || tap >= box.y.count(p)) continue;
            add_weighted(of_row.data(), bins + (r * rule.height + p) * rule.width * channels,
                         box.y.weights[box.y.start[p] + tap], rule.width * channels);
          }
          auto* row = map + (box.picture * height + y) * width * channels;
          for (int64_t q = 0; q < rule.width; ++q)
            for (int64_t tap = 0; tap < box.x.count(q); ++tap)
              add_weighted(row + (box.x.first[q] + tap) * channels, of_row.data() + q * channels,
                           box.x.weights[box.x.start[q] + tap], channels);
        }
      }
  });
  return out;
}

struct RoiAlign : torch::autograd::Function<RoiAlign> {
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& features, const at::Tensor& boxes,
                            const at::Tensor& pictures, int64_t height, int64_t width, double scale, int64_t sampling,
                            bool aligned) {
    RoiAlignRule rule{height, width, scale, sampling, aligned, false};
    ctx->save_for_backward({boxes, pictures});
    ctx->saved_data["shape"] = features.sizes().vec();
    ctx->saved_data["size"] = std::vector<int64_t>{height, width, sampling};
    ctx->saved_data["scale"] = scale;
    ctx->saved_data["aligned"] = aligned;
    auto x = channels_last(features);
    return by_type(x, [&](auto type) {
      using T = decltype(type);
      return forward_kernel<T>(x, place<T>(boxes, pictures, x.size(0), x.size(2), x.size(3), rule), rule);
    });
  }

  static tensor_list backward(AutogradContext* ctx, tensor_list gradients) {
    auto saved = ctx->get_saved_variables();
    auto shape = ctx->saved_data["shape"].toIntVector();
    auto size = ctx->saved_data["size"].toIntVector();
    RoiAlignRule rule{size[0], size[1], ctx->saved_data["scale"].toDouble(), size[2],
                      ctx->saved_data["aligned"].toBool(), false};
    auto gradient = channels_last(gradients[0]);
    auto of_features = by_type(gradient, [&](auto type) {
      using T = decltype(type);
      return backward_kernel<T>(gradient, place<T>(saved[0], saved[1], shape[0], shape[2], shape[3], rule), shape,
                                rule);
    });
    return {of_features, {}, {}, {}, {}, {}, {}, {}};
  }
};

// The same as a sum over rows of the map, which libtorch differentiates on any device. The weights come from the host.
template <typename T>
at::Tensor by_operations(const at::Tensor& features, const std::vector<Box<T>>& boxes, const RoiAlignRule& rule) {
  auto channels = features.size(1), height = features.size(2), width = features.size(3);
  std::vector<int64_t> indices, starts;
  std::vector<T> weights;
  for (const auto& box : boxes)
    for (int64_t p = 0; p < rule.height; ++p)
      for (int64_t q = 0; q < rule.width; ++q) {
        starts.push_back(static_cast<int64_t>(indices.size()));
        for (int64_t i = 0; i < box.y.count(p); ++i)
          for (int64_t j = 0; j < box.x.count(q); ++j) {
            indices.push_back((box.picture * height + box.y.first[p] + i) * width + box.x.first[q] + j);
            weights.push_back(box.y.weights[box.y.start[p] + i] * box.x.weights[box.x.start[q] + j]);
          }
      }
  auto there = [&](const auto& values, at::ScalarType type) {
    auto host = at::tensor(values, at::TensorOptions().dtype(type));
    // From pinned memory the host need not wait.
    return features.is_cuda() ? host.pin_memory().to(features.device(), /*non_blocking=*/true) : host;
  };
  auto rows = features.permute({0, 2, 3, 1}).reshape({-1, channels});
  auto bags = std::get<0>(at::embedding_bag(rows, there(indices, at::kLong), there(starts, at::kLong),
                                            /*scale_grad_by_freq=*/false, /*mode=sum*/ 0, /*sparse=*/false,
                                            there(weights, features.scalar_type())));
  return bags.view({-1, rule.height, rule.width, channels}).permute({0, 3, 1, 2});
}

}  // namespace

std::unique_ptr<at::Tensor> roi_align(const at::Tensor& features, const at::Tensor& boxes, const at::Tensor& pictures,
                                      const RoiAlignRule& rule) {
  TORCH_CHECK(features.dim() == 4, "RoIAlign takes maps [B, C, H, W], not ", features.sizes());
  TORCH_CHECK(boxes.dim() == 2 && boxes.size(1) == 4, "RoIAlign takes boxes [R, 4], not ", boxes.sizes());
  TORCH_CHECK(pictures.dim() == 1 && pictures.size(0) == boxes.size(0), "RoIAlign takes a picture for each of the ",
              boxes.size(0), " boxes, not ", pictures.sizes());
  TORCH_CHECK(rule.height > 0 && rule.width > 0, "RoIAlign gives at least one bin, not ", rule.height, " x ",
              rule.width);
  auto type = features.scalar_type();
  // Half precision has too few digits for sums over a grid.
  auto wide = type == at::kDouble ? at::kDouble : at::kFloat;
  auto x = features.to(wide);
  auto host_boxes = boxes.detach().to(at::kCPU, wide).contiguous();
  auto host_pictures = pictures.to(at::kCPU, at::kLong).contiguous();
  at::Tensor out;
  if (boxes.size(0) == 0) {
    // Part of the graph all the same.
    out = x.sum() * 0 + at::zeros({0, x.size(1), rule.height, rule.width}, x.options());
  } else if (x.is_cpu() && !rule.operations) {
    out = RoiAlign::apply(x, host_boxes, host_pictures, rule.height, rule.width, rule.scale, rule.sampling,
                          rule.aligned);
  } else {
    out = by_type(x, [&](auto type) {
      using T = decltype(type);
      return by_operations<T>(x, place<T>(host_boxes, host_pictures, x.size(0), x.size(2), x.size(3), rule), rule);
    });
  }
  return hand_over(out.to(type));
}

}  // namespace slotcon
