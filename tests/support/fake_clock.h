// FakeClock: time that moves when told. Sleeping on it moves it.

#pragma once

#include <mutex>

#include "base/clock.h"

namespace tests {

// May be used from several threads.
class FakeClock final : public base::Clock {
 public:
  // 2026-11-20T12:00:00Z, unless told otherwise.
  static constexpr base::Time kStart{std::chrono::milliseconds(1'795'176'000'000)};

  explicit FakeClock(base::Time now = kStart) : now_(now) {}

  base::Time Now() const override {
    const std::lock_guard lock(mutex_);
    return now_;
  }
  base::Duration Uptime() const override {
    const std::lock_guard lock(mutex_);
    return uptime_;
  }
  void SleepUntil(base::Duration until) override {
    const std::lock_guard lock(mutex_);
    if (until <= uptime_) return;
    now_ += until - uptime_;
    uptime_ = until;
  }

  void Advance(base::Duration by) {
    const std::lock_guard lock(mutex_);
    now_ += by;
    uptime_ += by;
  }
  // Somebody set the wall clock; uptime does not notice.
  void JumpTo(base::Time now) {
    const std::lock_guard lock(mutex_);
    now_ = now;
  }

 private:
  mutable std::mutex mutex_;
  base::Time now_;
  base::Duration uptime_{0};
};

}  // namespace tests
