#include "store.h"

#include <c10/util/Logging.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

namespace slotcon {

void Store::set(rust::Str key, rust::Str value) const {
  inner_->set(std::string(key), std::vector<uint8_t>(value.begin(), value.end()));
}

rust::String Store::get(rust::Str key) const {
  auto bytes = inner_->get(std::string(key));
  return rust::String::lossy(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

int64_t Store::add(rust::Str key, int64_t amount) const { return inner_->add(std::string(key), amount); }

bool Store::has(rust::Str key) const { return inner_->check({std::string(key)}); }

std::shared_ptr<Store> open_store(rust::Str host, uint16_t port, bool keep, int64_t timeout_ms, rust::Str prefix) {
  // Failures come back as errors; what c10d logs besides are stack traces of every attempt.
  if (std::getenv("TORCH_CPP_LOG_LEVEL") == nullptr) FLAGS_caffe2_log_level = c10::GLOG_FATAL;
  c10d::TCPStoreOptions options;
  options.port = port;
  options.isServer = keep;
  // Who is there is found out by name, so nobody is counted here.
  options.waitWorkers = false;
  options.timeout = std::chrono::milliseconds(timeout_ms);
  auto store = c10::make_intrusive<c10d::TCPStore>(std::string(host), options);
  auto own = store->getPort();
  auto prefixed = c10::make_intrusive<c10d::PrefixStore>(std::string(prefix), store);
  return std::make_shared<Store>(std::move(prefixed), own);
}

}  // namespace slotcon
