// Table: what the quality benchmark measured, each line beside the bar it is held to.
//
// A line on stdout for scripts as soon as it is known (figure.h), the whole table on stderr at the
// end. A missed bar is a result like any other: it is printed, not hidden, and is no failure of the
// program.

#pragma once

#include <cstddef>
#include <functional>
#include <limits>
#include <string>
#include <utility>
#include <vector>

namespace bench::drift {

struct Settings {
  bool quick = false;       // A tenth of the work or less: shows that it runs, no figure to quote.
  std::size_t threads = 2;  // Workers.
  std::string river;        // The command river_side.py is run with; empty: not compared.
  std::string data;         // TINYMLOPS_DATA; empty: what needs it is left out.

  // So many runs, fewer when quick.
  std::size_t Runs(std::size_t full) const { return quick ? full / 10 + 1 : full; }
};

struct Measured {
  std::string name = {};  // "c1.normal.1e4.n100"; the table's family comes before it, unless it
                          // holds its own ("detector_ns.").
  std::string bar = {};   // "C1"
  double value = 0.0;
  double low = std::numeric_limits<double>::quiet_NaN();  // 95 % interval, where there is one.
  double high = std::numeric_limits<double>::quiet_NaN();
  std::string unit = {};
  std::string better = "lower";  // As in figure.h.
  // What is asked: value, or (touches) its interval, within these; neither: nothing is.
  double at_least = -std::numeric_limits<double>::infinity();
  double at_most = std::numeric_limits<double>::infinity();
  bool touches = false;
  double baseline = 1.0;        // Never 0.
  std::string conditions = {};  // No quotes.

  bool has_target() const;
  bool met() const;
};

class Table {
 public:
  // `family` stands before the names of its figures.
  explicit Table(std::string family = "drift_quality.") : family_(std::move(family)) {}

  void Add(const Measured& measured);  // Prints it, too.
  // A bar, or a part of one, that cannot be measured here, and why.
  void Skip(const std::string& bar, const std::string& why);
  std::string Text() const;
  std::size_t missed() const;
  std::size_t size() const { return lines_.size(); }

 private:
  std::string family_;
  std::vector<Measured> lines_;
  std::vector<std::string> skipped_;
};

// Calls job(0) to job(count - 1), on so many threads.
void ForEach(std::size_t count, std::size_t threads, const std::function<void(std::size_t)>& job);

struct Summary {
  double mean = 0.0;
  double mean_low = 0.0;  // 95 %, normal.
  double mean_high = 0.0;
  double median = 0.0;
  double median_low = 0.0;  // 95 %, order statistics.
  double median_high = 0.0;
  double max = 0.0;
};
// REQUIRES: values is not empty.
Summary Summarise(std::vector<double> values);

}  // namespace bench::drift
