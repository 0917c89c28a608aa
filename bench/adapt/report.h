// Report: what came of many seeds of one stream, in one line beside its baselines.

#pragma once

#include <string>
#include <vector>

#include "bench/adapt/experiment.h"

namespace bench::adapt {

struct Summary {
  double mean = 0.0;
  double worst = 0.0;  // The lowest.
};
Summary Of(const std::vector<Outcome>& outcomes, double Outcome::* value);
// Of value / before.
Summary ShareOf(const std::vector<Outcome>& outcomes, double Outcome::* value);
// Of value - nothing.
Summary ChangeOf(const std::vector<Outcome>& outcomes, double Outcome::* value);
// The share of runs more than a point worse than doing nothing.
double Harmed(const std::vector<Outcome>& outcomes, double Outcome::* value);

// "flat_field x18, identity x2".
std::string Counted(const std::vector<Outcome>& outcomes, std::string Outcome::* value);

// A Markdown table, a line a stream; every figure as mean/worst.
class StreamTable {
 public:
  void Add(const std::string& stream, std::uint32_t labels, const std::vector<Outcome>& outcomes);
  std::string Text() const;

 private:
  std::string lines_;
};

}  // namespace bench::adapt
