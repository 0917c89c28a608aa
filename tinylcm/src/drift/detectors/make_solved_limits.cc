// Makes solved_limits_table.inc: the limits that give a run length, by seeded Monte Carlo.
//
//   make_solved_limits > tinylcm/src/drift/detectors/solved_limits_table.inc
//
// More runs where they are short: some 1 to 2 % at 1,000 and 10,000, 3 % at 100,000, 6 % at a
// million (one standard error). Half an hour on one core; with a name only that table.

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <string_view>
#include <vector>

#include "tinylcm/src/drift/detectors/solved_limits.h"

namespace tinylcm::drift {
namespace {

// Values a table may take in all; slow detectors get fewer runs.
LimitsByTrial WorkFor(double run_length, double values) {
  return {{.seed = 7,
           .runs = static_cast<std::uint64_t>(std::clamp(values / run_length, 300.0, 8000.0)),
           .values = 100'000'000'000}};
}

using Solve = std::function<base::Result<double>(const LimitsByTrial&, double run_length)>;

void Table(std::string_view wanted, const char* name, double values,
           const std::vector<double>& run_lengths, const Solve& solve) {
  if (!wanted.empty() && wanted != name) return;
  std::printf("constexpr Known %s[] = {\n", name);
  for (const double run_length : run_lengths) {
    const base::Result<double> limit = solve(WorkFor(run_length, values), run_length);
    if (!limit.ok()) {
      std::fprintf(stderr, "%s at %g: %s\n", name, run_length, limit.error().message.c_str());
      continue;
    }
    std::printf("    {%.0f, %.6g},\n", run_length, *limit);
    std::fflush(stdout);
  }
  std::printf("};\n");
}

double MinusLog(double x) { return -std::log(x); }

void Make(std::string_view only) {
  constexpr double kRate = 0.1;
  const std::vector<double> kFrom100 = {1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5, 1e6};
  const std::vector<double> kUpTo1e5 = {1e2, 3e2, 1e3, 3e3, 1e4, 3e4, 1e5};
  const std::vector<double> kFrom500 = {500, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5};
  const std::vector<double> kFrom1000 = {1e3, 2e3, 4e3, 1e4, 3e4, 1e5, 3e5};
  if (only.empty()) {
    std::printf("// Made by make_solved_limits.cc.\nconstexpr double kErrorRate = %g;\n", kRate);
  }
  for (const bool is_both : {false, true}) {
    Table(only, is_both ? "kPageHinkleyBoth" : "kPageHinkleyUp", 2e7, kFrom100,
          [&](const LimitsByTrial& trial, double run_length) {
            return trial.PageHinkleyThreshold(
                {.mode = is_both ? PageHinkley::Mode::kBoth : PageHinkley::Mode::kUp}, run_length);
          });
  }
  // On the scale of -ln(delta), -ln(alpha), -ln(confidence).
  const auto logged = [](const base::Result<double>& limit) -> base::Result<double> {
    if (!limit.ok()) return limit;
    return MinusLog(*limit);
  };
  Table(only, "kAdwin", 2e7, {128, 300, 1e3, 3e3, 1e4, 3e4, 1e5, 3e5},
        [&](const LimitsByTrial& trial, double run_length) {
          return logged(trial.AdwinDelta({}, run_length));
        });
  Table(only, "kKswin", 4e6, {150, 300, 1e3, 3e3, 1e4, 3e4},
        [&](const LimitsByTrial& trial, double run_length) {
          return logged(trial.KswinAlpha({}, run_length));
        });
  for (const bool is_both : {false, true}) {
    Table(only, is_both ? "kHddmATwoSided" : "kHddmA", 6e6, kUpTo1e5,
          [&](const LimitsByTrial& trial, double run_length) {
            return logged(trial.HddmAConfidence(
                {.two_sided_test = is_both, .restart = static_cast<std::uint64_t>(run_length)},
                kRate, run_length));
          });
    Table(only, is_both ? "kHddmWTwoSided" : "kHddmW", 6e6, kUpTo1e5,
          [&](const LimitsByTrial& trial, double run_length) {
            return logged(trial.HddmWConfidence({.two_sided_test = is_both}, kRate, run_length));
          });
  }
  Table(only, "kDdm", 2e7, kFrom100, [&](const LimitsByTrial& trial, double run_length) {
    return trial.DdmThreshold({.restart = static_cast<std::uint64_t>(run_length)}, kRate,
                              run_length);
  });
  Table(only, "kEddm", 2e7, kFrom500,
        [&](const LimitsByTrial& trial, double run_length) -> base::Result<double> {
          const base::Result<double> beta = trial.EddmBeta(
              {.restart = static_cast<std::uint64_t>(run_length)}, kRate, run_length);
          if (!beta.ok()) return beta;
          return 1.0 - *beta;
        });
  Table(only, "kJs", 4e6, kFrom1000, [&](const LimitsByTrial& trial, double run_length) {
    return trial.JsThreshold({}, run_length);
  });
  Table(only, "kQuantTree", 1e7, kFrom500, [&](const LimitsByTrial& trial, double run_length) {
    return trial.QuantTreeThreshold({}, run_length);
  });
  Table(only, "kMmd", 3e6, kFrom500, [&](const LimitsByTrial& trial, double run_length) {
    return trial.MmdThreshold({}, run_length);
  });
}

}  // namespace
}  // namespace tinylcm::drift

int main(int argc, char** argv) {
  tinylcm::drift::Make(argc > 1 ? argv[1] : "");
  return 0;
}
