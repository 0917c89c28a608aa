#include "base/clock.h"

#include <cerrno>
#include <ctime>

namespace base {
namespace {

class PosixClock final : public Clock {
 public:
  Time Now() const override {
    return std::chrono::floor<Duration>(std::chrono::system_clock::now());
  }

  // Counts while the machine is suspended too, so that "in an hour" means an hour.
  Duration Uptime() const override {
    timespec now{};
    clock_gettime(CLOCK_BOOTTIME, &now);
    return std::chrono::seconds(now.tv_sec) + Duration(now.tv_nsec / 1'000'000);
  }

  void SleepUntil(Duration until) override {
    timespec time{};
    time.tv_sec = static_cast<std::time_t>(until.count() / 1000);
    time.tv_nsec = static_cast<long>(until.count() % 1000 * 1'000'000);
    clock_nanosleep(CLOCK_BOOTTIME, TIMER_ABSTIME, &time, nullptr);
  }
};

}  // namespace

Clock& SystemClock() {
  static PosixClock clock;
  return clock;
}

}  // namespace base
