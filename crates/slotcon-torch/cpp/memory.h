// Memory of a GPU as libtorch's allocator counts it.
#pragma once
#include <cstdint>

namespace slotcon {
int64_t peak_bytes(int8_t device);
void reset_peak(int8_t device);
}  // namespace slotcon
