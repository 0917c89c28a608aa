#include "bench/drift/table.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdio>
#include <mutex>
#include <numeric>
#include <thread>

#include "base/check.h"
#include "base/text.h"
#include "bench/figure.h"

namespace bench::drift {

namespace {

std::string Number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string Target(const Measured& measured) {
  if (!measured.has_target()) return "";
  const bool has_least = std::isfinite(measured.at_least);
  const bool has_most = std::isfinite(measured.at_most);
  const std::string band = has_least && has_most ? base::StrCat(Number(measured.at_least), " to ",
                                                                Number(measured.at_most))
                           : has_least           ? base::StrCat(">= ", Number(measured.at_least))
                                                 : base::StrCat("<= ", Number(measured.at_most));
  return measured.touches ? base::StrCat("interval touches ", band) : band;
}

std::string Interval(const Measured& measured) {
  if (std::isnan(measured.low)) return "";
  return base::StrCat(Number(measured.low), " to ", Number(measured.high));
}

const char* Answer(const Measured& measured) {
  if (!measured.has_target()) return "";
  return measured.met() ? "met" : "MISSED";
}

}  // namespace

bool Measured::has_target() const { return std::isfinite(at_least) || std::isfinite(at_most); }

bool Measured::met() const {
  if (touches) return high >= at_least && low <= at_most;
  return value >= at_least && value <= at_most;
}

void Table::Add(const Measured& measured) {
  lines_.push_back(measured);
  Figure figure = {
      .name = measured.name.find("detector_ns.") == 0 ? measured.name : family_ + measured.name,
      .value = measured.value,
      .unit = measured.unit,
      .better = measured.better,
      .baseline = measured.baseline,
      .conditions = measured.conditions};
  figure.target = Target(measured);
  figure.low = measured.low;
  figure.high = measured.high;
  if (measured.has_target()) figure.met = measured.met();
  Print(figure);
  std::fprintf(stderr, "  %-34s %9s  %-18s %s %s\n", measured.name.c_str(),
               Number(measured.value).c_str(), Interval(measured).c_str(), Answer(measured),
               Target(measured).c_str());
}

void Table::Skip(const std::string& bar, const std::string& why) {
  skipped_.push_back(base::StrCat(bar, ": ", why));
  std::fprintf(stderr, "  %s not measured: %s\n", bar.c_str(), why.c_str());
}

std::string Table::Text() const {
  std::string out =
      "| bar | name | target | measured | 95 % | | conditions |\n"
      "|---|---|---|---|---|---|---|\n";
  for (const Measured& line : lines_) {
    out += base::StrCat("| ", line.bar, " | `", line.name, "` | ", Target(line), " | ",
                        Number(line.value), " ", line.unit, " | ", Interval(line), " | ",
                        Answer(line), " | ", line.conditions, " |\n");
  }
  for (const std::string& line : skipped_) out += base::StrCat("Not measured: ", line, "\n");
  return out;
}

std::size_t Table::missed() const {
  return static_cast<std::size_t>(std::count_if(lines_.begin(), lines_.end(), [](const auto& line) {
    return line.has_target() && !line.met();
  }));
}

void ForEach(std::size_t count, std::size_t threads, const std::function<void(std::size_t)>& job) {
  std::atomic<std::size_t> next = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < count; i = next++) job(i);
  };
  std::vector<std::jthread> workers;
  for (std::size_t i = 1; i < std::min(threads, count); ++i) workers.emplace_back(work);
  work();
}

Summary Summarise(std::vector<double> values) {
  CHECK(!values.empty());
  std::sort(values.begin(), values.end());
  const auto n = static_cast<double>(values.size());
  Summary summary;
  summary.mean = std::accumulate(values.begin(), values.end(), 0.0) / n;
  double squares = 0.0;
  for (const double value : values) squares += (value - summary.mean) * (value - summary.mean);
  const double error = n > 1.0 ? 1.96 * std::sqrt(squares / (n - 1.0) / n) : 0.0;
  summary.mean_low = summary.mean - error;
  summary.mean_high = summary.mean + error;
  const auto at = [&](double place) {
    return values[static_cast<std::size_t>(std::clamp(std::round(place), 0.0, n - 1.0))];
  };
  summary.median = 0.5 * (at(std::floor((n - 1.0) / 2.0)) + at(std::ceil((n - 1.0) / 2.0)));
  summary.median_low = at(n / 2.0 - 0.98 * std::sqrt(n) - 1.0);
  summary.median_high = at(n / 2.0 + 0.98 * std::sqrt(n));
  summary.max = values.back();
  return summary;
}

}  // namespace bench::drift
