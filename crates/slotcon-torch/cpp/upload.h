// Bytes to a GPU while it computes; written with libtorch's device-independent streams, so that it compiles without CUDA.
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>

#include <c10/core/Event.h>
#include <c10/core/Stream.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include "tensors.h"

namespace slotcon {

// A copy under way.
class Upload {
 public:
  Upload(at::Tensor tensor, c10::Event event) : tensor_(std::move(tensor)), event_(std::move(event)) {}
  // The copy; what the current stream does from now on waits for it, the host does not.
  std::unique_ptr<at::Tensor> receive() const;
  // The host waits until the bytes have been read.
  void finish() const { event_.synchronize(); }

 private:
  at::Tensor tensor_;
  c10::Event event_;
};

// A stream of its own on one GPU.
class Uploader {
 public:
  explicit Uploader(int8_t index);
  // The bytes must stay where they are until `finish` has returned.
  std::unique_ptr<Upload> start(rust::Slice<const uint8_t> bytes) const;

 private:
  c10::Device device_;
  c10::impl::VirtualGuardImpl impl_;
  c10::Stream stream_;
};

std::unique_ptr<Uploader> new_uploader(int8_t index);

// Makes memory readable by GPUs without the host's help; throws where there is none. What is pinned must be unpinned before
// it is freed.
void pin(rust::Slice<const uint8_t> bytes);
void unpin(rust::Slice<const uint8_t> bytes);

}  // namespace slotcon
