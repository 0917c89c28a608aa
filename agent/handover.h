// Handover: passes things from one thread to another through a bounded ring. When it is full the
// giver is told at once and never waits: for the frame thread a lost line of a log is better than a
// late answer.

#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>
#include <vector>

namespace agent {

// One giver, one taker.
template <typename T>
class Handover {
 public:
  explicit Handover(std::size_t capacity) : capacity_(capacity) {}

  // False when full; `value` is then untouched.
  bool TryGive(T& value) {
    {
      const std::scoped_lock lock(mutex_);
      if (waiting_.size() >= capacity_) return false;
      waiting_.push_back(std::move(value));
    }
    wake_.notify_one();
    return true;
  }

  // All that waits, at most `patience` later; empty when nothing came.
  std::vector<T> Take(std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    wake_.wait_for(lock, patience, [&] { return !waiting_.empty() || is_closed_; });
    std::vector<T> taken(std::make_move_iterator(waiting_.begin()),
                         std::make_move_iterator(waiting_.end()));
    waiting_.clear();
    return taken;
  }

  // Take no longer waits.
  void Close() {
    {
      const std::scoped_lock lock(mutex_);
      is_closed_ = true;
    }
    wake_.notify_all();
  }

 private:
  std::size_t capacity_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<T> waiting_;
  bool is_closed_ = false;
};

}  // namespace agent
