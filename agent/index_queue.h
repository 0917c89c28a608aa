// IndexQueue: small numbers from one thread to one other, in order, without a lock.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>

namespace agent {

// One thread pushes, one pops. Neither waits, allocates or calls the operating system; some
// nanoseconds each.
class IndexQueue {
 public:
  explicit IndexQueue(std::uint32_t capacity);
  ~IndexQueue();
  IndexQueue(const IndexQueue&) = delete;
  IndexQueue& operator=(const IndexQueue&) = delete;

  bool Push(std::uint32_t index);  // False: full.
  std::optional<std::uint32_t> Pop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace agent
