#include "upload.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <dlfcn.h>

#include <stdexcept>
#include <string>

namespace slotcon {

Uploader::Uploader(int8_t index)
    : device_(c10::kCUDA, index), impl_(c10::kCUDA), stream_(impl_.getStreamFromGlobalPool(device_)) {}

std::unique_ptr<Uploader> new_uploader(int8_t index) { return std::make_unique<Uploader>(index); }

std::unique_ptr<Upload> Uploader::start(rust::Slice<const uint8_t> bytes) const {
  c10::StreamGuard guard(stream_);
  const auto size = static_cast<int64_t>(bytes.size());
  // Only read from.
  auto host = at::from_blob(const_cast<uint8_t*>(bytes.data()), {size}, at::kByte);
  auto copy = at::empty({size}, at::TensorOptions().dtype(at::kByte).device(device_));
  copy.copy_(host, /*non_blocking=*/true);
  c10::Event event(c10::kCUDA);
  event.record(stream_);
  return std::make_unique<Upload>(std::move(copy), std::move(event));
}

std::unique_ptr<at::Tensor> Upload::receive() const {
  const c10::impl::VirtualGuardImpl impl(tensor_.device().type());
  const auto current = impl.getStream(tensor_.device());
  event_.block(current);
  // Its memory belongs to the other stream: it must not be used again there before this one is done with it.
  tensor_.record_stream(current);
  return hand_over(tensor_);
}

namespace {

// CUDA's runtime is in the process wherever libtorch is; its headers are not.
template <typename F>
F* runtime(const char* name) {
  void* symbol = dlsym(RTLD_DEFAULT, name);
  if (symbol == nullptr) {
    throw std::runtime_error(std::string("CUDA's runtime has no ") + name);
  }
  return reinterpret_cast<F*>(symbol);
}

void check(int code) {
  if (code == 0) {
    return;
  }
  // Forgets the error, which libtorch would find at its next call.
  runtime<int()>("cudaGetLastError")();
  throw std::runtime_error(runtime<const char*(int)>("cudaGetErrorString")(code));
}

}  // namespace

void pin(rust::Slice<const uint8_t> bytes) {
  constexpr unsigned portable = 1;
  auto* address = const_cast<uint8_t*>(bytes.data());
  check(runtime<int(void*, std::size_t, unsigned)>("cudaHostRegister")(address, bytes.size(), portable));
}

void unpin(rust::Slice<const uint8_t> bytes) {
  check(runtime<int(void*)>("cudaHostUnregister")(const_cast<uint8_t*>(bytes.data())));
}

}  // namespace slotcon
