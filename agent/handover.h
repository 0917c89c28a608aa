// Handover: passes things from one thread to another through a ring of slots that are made once.
//
//   giver:  Slot() ─▶ fill it in place ─▶ Give()          taker:  Take(each) ─▶ use it in place
//             ▲                              └── indices, without a lock ──▶ │
//             └────────────────── indices of slots that are free again ──────┘
//
// The giver never waits, locks or allocates: when every slot is taken it is told so, for a lost
// line of a log is better than a late answer. What a slot holds stays there when it was used, so a
// buffer in it serves again. A taker that sleeps is woken only when half of the slots wait for it
// (or when the giver insists); otherwise it looks by itself when its patience ends.

#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <vector>

#include "agent/index_queue.h"
#include "base/check.h"

namespace agent {

// One giver, one taker. Close may come from any thread.
template <typename T>
class Handover {
 public:
  explicit Handover(std::uint32_t capacity)
      : slots_(capacity), wake_at_((capacity + 1) / 2), free_(capacity), given_(capacity) {
    for (std::uint32_t i = 0; i < capacity; ++i) CHECK(free_.Push(i));
  }

  // Giver: the slot to fill next, the same one until it is given; null: full.
  T* Slot() {
    if (!filling_) filling_ = free_.Pop();
    return filling_ ? &slots_[*filling_] : nullptr;
  }

  // Giver: passes the slot on. REQUIRES: Slot() gave one.
  void Give() {
    CHECK(filling_);
    const std::uint32_t waiting = waiting_.fetch_add(1, std::memory_order_relaxed) + 1;
    CHECK(given_.Push(*filling_));
    filling_.reset();
    if (waiting >= wake_at_) Wake();
  }

  // Giver: the taker should look at once. Locks, if it sleeps.
  void Wake() {
    if (!is_asleep_.load(std::memory_order_relaxed)) return;
    {
      const std::scoped_lock lock(mutex_);
      is_woken_ = true;
    }
    wake_.notify_one();
  }

  // Taker: hands what waits to use(T&), oldest first; a slot is free again when `use` returns. At
  // most as many as there are slots, so that a fast giver does not hold the taker. Returns how
  // many there were.
  template <typename Use>
  std::size_t Take(Use use) {
    std::size_t count = 0;
    while (count < slots_.size()) {
      const auto index = given_.Pop();
      if (!index) break;
      waiting_.fetch_sub(1, std::memory_order_relaxed);
      use(slots_[*index]);
      CHECK(free_.Push(*index));
      ++count;
    }
    return count;
  }

  // Taker: sleeps until half of the slots wait, it is woken or closed, at most `patience`.
  void Wait(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    is_asleep_.store(true, std::memory_order_relaxed);
    wake_.wait_for(lock, patience, [&] {
      return is_woken_ || is_closed_ || waiting_.load(std::memory_order_relaxed) >= wake_at_;
    });
    is_asleep_.store(false, std::memory_order_relaxed);
    is_woken_ = false;
  }

  // Wait no longer waits.
  void Close() {
    {
      const std::scoped_lock lock(mutex_);
      is_closed_ = true;
    }
    wake_.notify_all();
  }

 private:
  std::vector<T> slots_;
  std::uint32_t wake_at_;
  IndexQueue free_;
  IndexQueue given_;
  std::optional<std::uint32_t> filling_;  // The giver's.
  std::atomic<std::uint32_t> waiting_{0};
  std::atomic<bool> is_asleep_{false};
  std::mutex mutex_;  // Guards the two below.
  std::condition_variable wake_;
  bool is_woken_ = false;
  bool is_closed_ = false;
};

}  // namespace agent
