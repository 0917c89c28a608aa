#include "tinysphere/operation/shared_look.h"

#include <chrono>

namespace tinysphere::operation {

namespace {

constexpr base::Duration kFresh{5'000};
constexpr base::Duration kStillGood{30'000};

}  // namespace

Seen SharedLook::Get() {
  std::unique_lock lock(mutex_);
  if (seen_ && clock_.Uptime() - seen_at_ < kFresh) return *seen_;
  if (is_looking_) {
    if (!seen_) changed_.wait_for(lock, std::chrono::seconds(1), [&] { return seen_.has_value(); });
    return seen_ && clock_.Uptime() - seen_at_ < kStillGood ? *seen_ : Seen();
  }
  is_looking_ = true;
  lock.unlock();
  const Seen seen = look_();
  lock.lock();
  seen_ = seen;
  seen_at_ = clock_.Uptime();
  is_looking_ = false;
  changed_.notify_all();
  return seen;
}

}  // namespace tinysphere::operation
