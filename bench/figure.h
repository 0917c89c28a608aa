// Figure: one line of what ./bench.sh prints, and the way times are taken.
//
// Times are processor time of this thread, the best of many short slices, for the machine may have
// other things to do; what is measured and what it is compared with take turns, so that both see
// the same machine.

#pragma once

#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace bench {

struct Figure {
  std::string name;  // As scripts know it.
  double value = 0.0;
  std::string unit;
  std::string better = "lower";  // "lower", "higher" or "one" (a ratio that should be 1).
  double baseline = 0.0;         // The same of what it is compared with; never 0.
  std::string conditions;        // No quotes; the processor's name is added.
  // Where there are such: the 95 % interval, what is asked ("0.9 to 1.1"), and whether it is so.
  double low = std::numeric_limits<double>::quiet_NaN();
  double high = std::numeric_limits<double>::quiet_NaN();
  std::string target = {};
  std::optional<bool> met = {};
  // What else was measured beside it: {"nginx_per_s", 700}.
  std::vector<std::pair<std::string, double>> beside = {};
};

// {"name","value","unit","better","baseline","ratio","conditions"} on a line of its own, and where
// there are such "low", "high", "target", "met" and what is `beside`; ratio is value / baseline.
void Print(const Figure& figure);

double CpuNanoseconds();

// The best mean time of a call, nanoseconds.
struct BestTimes {
  double subject = 1e300;
  double baseline = 1e300;
};
inline constexpr int kSlices = 40;

// The same among any number.
struct Turn {
  int calls = 1;  // A slice.
  std::function<void()> call;
};
std::vector<double> TakeTurns(const std::vector<Turn>& turns);

BestTimes TakeTurns(int subject_calls, const std::function<void()>& subject, int baseline_calls,
                    const std::function<void()>& baseline);

}  // namespace bench
