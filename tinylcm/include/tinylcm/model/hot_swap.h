// HotSwap: gives a running frame thread a new model between two frames.
//
// The new one is made and warmed up on another thread, then offered: one pointer exchange. The
// frame thread takes it up at the start of its next frame and hands the old one back; whoever
// offered it frees it, so the frame thread never waits, never allocates and never frees.

#pragma once

#include <atomic>
#include <memory>
#include <utility>

#include "base/check.h"

namespace tinylcm::model {

// One reader (the frame thread), one writer (the control thread).
template <typename T>
class HotSwap {
 public:
  explicit HotSwap(std::unique_ptr<T> first) : current_(std::move(first)) { CHECK(current_); }
  ~HotSwap() {
    delete offered_.load(std::memory_order_acquire);
    delete retired_.load(std::memory_order_acquire);
  }
  HotSwap(const HotSwap&) = delete;
  HotSwap& operator=(const HotSwap&) = delete;

  // Writer: offers the next one. An offer that was not taken up yet is replaced and freed here.
  void Offer(std::unique_ptr<T> next) {
    CHECK(next);
    delete offered_.exchange(next.release(), std::memory_order_acq_rel);
  }

  // Reader, at the start of a frame: takes an offer up, if there is one and the last retired one
  // was collected. Valid until the next call. `swapped`, if given, says whether this call took one
  // up.
  T& Begin(bool* swapped = nullptr) {
    if (swapped != nullptr) *swapped = false;
    if (offered_.load(std::memory_order_relaxed) != nullptr &&
        retired_.load(std::memory_order_acquire) == nullptr) {
      if (T* next = offered_.exchange(nullptr, std::memory_order_acq_rel)) {
        retired_.store(current_.release(), std::memory_order_release);
        current_.reset(next);
        if (swapped != nullptr) *swapped = true;
      }
    }
    return *current_;
  }

  // Reader: the one in use.
  T& current() { return *current_; }

  // Writer: the one that is no longer used, or null. Call it until the swap was seen.
  std::unique_ptr<T> Collect() {
    return std::unique_ptr<T>(retired_.exchange(nullptr, std::memory_order_acq_rel));
  }
  // Writer: true while an offer waits to be taken up.
  bool is_waiting() const { return offered_.load(std::memory_order_acquire) != nullptr; }

 private:
  std::unique_ptr<T> current_;  // The reader's.
  std::atomic<T*> offered_{nullptr};
  std::atomic<T*> retired_{nullptr};
};

}  // namespace tinylcm::model
