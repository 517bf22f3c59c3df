// Automatic mixed precision for any device; tch has it for CUDA only.
#pragma once
namespace slotcon {
// In bfloat16 or else float16. Nested regions are counted by libtorch.
void autocast_enter(bool cuda, bool bfloat16);
void autocast_exit(bool cuda);
}  // namespace slotcon
