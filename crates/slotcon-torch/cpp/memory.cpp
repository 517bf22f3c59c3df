#include "memory.h"

#include <ATen/DeviceAccelerator.h>

namespace slotcon {

int64_t peak_bytes(int8_t device) {
  return at::accelerator::getDeviceStats(device).allocated_bytes[0].peak;
}

void reset_peak(int8_t device) { at::accelerator::resetPeakStats(device); }

}  // namespace slotcon
