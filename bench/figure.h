// Figure: one line of what ./bench.sh prints, and the way times are taken.
//
// Times are processor time of this thread, the best of many short slices, for the machine may have
// other things to do; what is measured and what it is compared with take turns, so that both see
// the same machine.

#pragma once

#include <functional>
#include <string>
#include <vector>

namespace bench {

struct Figure {
  std::string name;  // As scripts know it.
  double value = 0.0;
  std::string unit;
  std::string better = "lower";  // "lower", "higher" or "one" (a ratio that should be 1).
  double baseline = 0.0;         // The same of what it is compared with; never 0.
  std::string conditions;        // No quotes; the processor's name is added.
};

// {"name","value","unit","better","baseline","ratio","conditions"} on a line of its own; ratio is
// value / baseline.
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
