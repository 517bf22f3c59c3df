// Linear layers by the fastest matrix product that this libtorch carries.
#pragma once
#include <cstddef>

namespace slotcon {
// x [N, input], weight [output, input], bias [output] to [N, output].
std::size_t linear(std::size_t x, std::size_t weight, std::size_t bias);
}  // namespace slotcon
