// BlockPool: pieces of memory of one size, for bodies on their way in. A block that is given back is
// kept for the next body as long as few lie idle; beyond that it is freed, so that a rush of uploads
// leaves little behind.

#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "base/bytes.h"

namespace tinysphere::http {

class BlockPool;

// One block, or none; its pool must outlive it.
class Block {
 public:
  Block() = default;
  Block(BlockPool& pool, std::uint8_t* data) : pool_(&pool), data_(data) {}
  ~Block() { GiveBack(); }
  Block(Block&& other) noexcept : pool_(other.pool_), data_(std::exchange(other.data_, nullptr)) {}
  Block& operator=(Block&& other) noexcept {
    if (this == &other) return *this;
    GiveBack();
    pool_ = other.pool_;
    data_ = std::exchange(other.data_, nullptr);
    return *this;
  }

  explicit operator bool() const { return data_ != nullptr; }
  std::uint8_t* data() const { return data_; }
  std::span<std::uint8_t> span() const;

 private:
  void GiveBack();

  BlockPool* pool_ = nullptr;
  std::uint8_t* data_ = nullptr;
};

// May be used from several threads.
class BlockPool {
 public:
  static constexpr std::size_t kBlockBytes = 256 * 1024;

  // At most `idle_max` blocks are kept while nobody needs them.
  explicit BlockPool(std::size_t idle_max) : idle_max_(idle_max) {}
  ~BlockPool();
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;

  // Page-aligned; holds what the last one left.
  Block Take();
  std::size_t idle() const;

 private:
  friend class Block;
  void Give(std::uint8_t* data);

  const std::size_t idle_max_;
  mutable std::mutex mutex_;
  std::vector<std::uint8_t*> idle_;
};

}  // namespace tinysphere::http
