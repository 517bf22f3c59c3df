// The key-value store at which ranks meet: c10d's TCPStore.
#pragma once
#include <cstdint>
#include <memory>
#include <string>

#include <torch/csrc/distributed/c10d/Store.hpp>

#include "rust/cxx.h"

namespace slotcon {
// One connection. Its operations come one after the other: a thread that must not wait for another has its own.
class Store {
 public:
  explicit Store(c10::intrusive_ptr<c10d::Store> inner, uint16_t port) : inner_(std::move(inner)), port_(port) {}

  uint16_t port() const { return port_; }
  void set(rust::Str key, rust::Str value) const;
  // Waits for the key for as long as the connection's timeout.
  rust::String get(rust::Str key) const;
  int64_t add(rust::Str key, int64_t amount) const;
  bool has(rust::Str key) const;

  const c10::intrusive_ptr<c10d::Store>& inner() const { return inner_; }

 private:
  c10::intrusive_ptr<c10d::Store> inner_;
  uint16_t port_;
};

// Connects to the store at host:port, or keeps it in this process (`keep`; port 0: any that is free). Keys of `prefix`
// are its own.
std::shared_ptr<Store> open_store(rust::Str host, uint16_t port, bool keep, int64_t timeout_ms, rust::Str prefix);
}  // namespace slotcon
