// Clock: where time enters. Algorithms never read one; they are given the time.

#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "base/result.h"

namespace base {

using Time = std::chrono::time_point<std::chrono::system_clock, std::chrono::milliseconds>;
using Duration = std::chrono::milliseconds;

// May be used from several threads.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual Time Now() const = 0;         // Wall clock, UTC. May jump; may be decades off.
  virtual Duration Uptime() const = 0;  // Monotonic since an arbitrary start. Never jumps.
  // Sleeps until Uptime() >= `until` or returns earlier; only loops at the program's edge call it.
  virtual void SleepUntil(Duration until) = 0;
};

// The machine's clocks. Lives for the whole program.
Clock& SystemClock();

// RFC 3339, UTC, milliseconds: "2026-11-20T12:00:00.000Z".
std::string FormatTime(Time time);
Result<Time> ParseTime(std::string_view text);

}  // namespace base
