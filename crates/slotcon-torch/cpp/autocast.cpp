#include "autocast.h"

#include <ATen/autocast_mode.h>

namespace slotcon {

static at::DeviceType device(bool cuda) { return cuda ? at::kCUDA : at::kCPU; }

void autocast_enter(bool cuda, bool bfloat16) {
  at::autocast::set_autocast_dtype(device(cuda), bfloat16 ? at::kBFloat16 : at::kHalf);
  at::autocast::set_autocast_enabled(device(cuda), true);
  at::autocast::increment_nesting();
}

void autocast_exit(bool cuda) {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  at::autocast::set_autocast_enabled(device(cuda), false);
}

}  // namespace slotcon
