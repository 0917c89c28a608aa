#include "tinysphere/http/block_pool.h"

#include <new>

namespace tinysphere::http {

namespace {

constexpr std::align_val_t kPage{4096};

void Free(std::uint8_t* data) { ::operator delete(data, BlockPool::kBlockBytes, kPage); }

}  // namespace

std::span<std::uint8_t> Block::span() const { return {data_, BlockPool::kBlockBytes}; }

void Block::GiveBack() {
  if (data_ != nullptr) pool_->Give(data_);
}

BlockPool::~BlockPool() {
  for (std::uint8_t* data : idle_) Free(data);
}

Block BlockPool::Take() {
  {
    const std::lock_guard lock(mutex_);
    if (!idle_.empty()) {
      std::uint8_t* data = idle_.back();  // The one last used: still in the cache.
      idle_.pop_back();
      return {*this, data};
    }
  }
  return {*this, static_cast<std::uint8_t*>(::operator new(kBlockBytes, kPage))};
}

std::size_t BlockPool::idle() const {
  const std::lock_guard lock(mutex_);
  return idle_.size();
}

void BlockPool::Give(std::uint8_t* data) {
  {
    const std::lock_guard lock(mutex_);
    if (idle_.size() < idle_max_) {
      idle_.push_back(data);
      return;
    }
  }
  Free(data);
}

}  // namespace tinysphere::http
