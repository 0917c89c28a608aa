// IndexQueue on Boost's ring for one producer and one consumer.

#include "agent/index_queue.h"

#include <boost/lockfree/spsc_queue.hpp>

namespace agent {

struct IndexQueue::Impl {
  explicit Impl(std::uint32_t capacity) : ring(capacity) {}
  boost::lockfree::spsc_queue<std::uint32_t> ring;
};

IndexQueue::IndexQueue(std::uint32_t capacity) : impl_(std::make_unique<Impl>(capacity)) {}

IndexQueue::~IndexQueue() = default;

bool IndexQueue::Push(std::uint32_t index) { return impl_->ring.push(index); }

std::optional<std::uint32_t> IndexQueue::Pop() {
  std::uint32_t index = 0;
  if (!impl_->ring.pop(index)) return std::nullopt;
  return index;
}

}  // namespace agent
