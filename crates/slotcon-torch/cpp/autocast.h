// Automatic mixed precision for any device; tch has it for CUDA only.
#pragma once
#include <cstdint>

namespace slotcon {
// `dtype`: at::ScalarType as tch numbers it. Nested regions are counted by libtorch.
void autocast_enter(bool cuda, int8_t dtype);
void autocast_exit(bool cuda);
}  // namespace slotcon
