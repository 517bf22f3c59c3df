// What our kernels for the CPU share: libtorch's threads, and loops compiled once for each width of a processor's vectors,
// of which the program takes one when it starts.
#pragma once
#include <ATen/Parallel.h>
#include <ATen/core/Tensor.h>

#if defined(__linux__) && !defined(INTRA_OP_PARALLEL)
#error "without -fopenmp at::parallel_for runs on one core"
#endif

#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define SLOTCON_VECTORISED __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define SLOTCON_VECTORISED
#endif

// What such a function calls has to become part of it.
#define SLOTCON_INLINED inline __attribute__((always_inline))

namespace slotcon {

// What f makes of a number of the tensor's type, float or double.
template <typename F>
decltype(auto) by_type(const at::Tensor& tensor, F f) {
  return tensor.scalar_type() == at::kDouble ? f(double()) : f(float());
}

}  // namespace slotcon
