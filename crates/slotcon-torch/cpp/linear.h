// Linear layers and 1x1 convolutions by the fastest matrix product that this libtorch carries.
#pragma once
#include <cstddef>

namespace slotcon {
// x [N, input], weight [output, input], bias [output] to [N, output].
std::size_t linear(std::size_t x, std::size_t weight, std::size_t bias);

// x [B, input, h, w], weight [output, input, 1, 1] to [B, output, h, w].
std::size_t convolve_1x1(std::size_t x, std::size_t weight);
}  // namespace slotcon
