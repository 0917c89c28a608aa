// How long anything runs before it alarms, by trying it: for what has no equation (run_length.h has
// those that do).
//
// Picture a patient apprentice: a fresh chart, values of a quiet stream one by one, until it
// alarms; how many were they? A thousand times over. The mean is the run length, and how far the
// thousand lie apart says how well it is known.
//
//   Chart: anything that is shown a generator, draws its value from it and answers.
//   Start: gives a fresh chart.
//
//   const RunLengthEstimate wait = EstimateRunLength({.seed = 7}, [] {
//     return [cusum = Cusum::Create({.h = 5.0}).value()](base::Random& random) mutable {
//       return cusum.Observe(random.Normal()) == DriftSignal::kDrift;
//     };
//   });
//
// The same seed gives the same estimate. Run r draws from a generator of its own, whatever the
// limit is, so two limits are compared on the same values (common random numbers). Work is bounded
// by a number of values and never by time.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "base/random.h"
#include "base/result.h"

namespace tinylcm::drift {

struct MonteCarlo {
  std::uint64_t seed = 1;
  std::uint64_t runs = 1'000;
  std::uint64_t values = 200'000'000;  // Observed at most, over all runs.
};

struct RunLengthEstimate {
  double mean = 0.0;  // Values to an alarm; infinite where none came.
  double low = 0.0;   // 95 % interval of the mean.
  double high = 0.0;  // Infinite where no alarm came.
  std::uint64_t alarms = 0;
  std::uint64_t values = 0;
  bool complete = true;  // False: the work ran out before the last run ended.
};

// The estimate from `alarms` runs that ended, their squared lengths summed, and all values seen (an
// unended run's too: alarms over values is the alarm rate, and a run cut short biases no rate).
// The interval is that of a mean of waiting times, on the scale of logarithms.
RunLengthEstimate Summarise(std::uint64_t alarms, double squares, std::uint64_t values,
                            bool complete);

// `start()` gives a chart, `chart(base::Random&)` shows it one value: true, it alarms.
template <typename Start>
RunLengthEstimate EstimateRunLength(const MonteCarlo& work, Start&& start) {
  base::Random seeds(work.seed);
  std::uint64_t values = 0;
  double squares = 0.0;
  for (std::uint64_t run = 0; run < work.runs; ++run) {
    base::Random random(seeds.Next());
    auto chart = start();
    std::uint64_t length = 0;
    do {
      if (values == work.values) return Summarise(run, squares, values, false);
      ++values;
      ++length;
    } while (!chart(random));
    squares += static_cast<double>(length) * static_cast<double>(length);
  }
  return Summarise(work.runs, squares, values, true);
}

struct SolvedLimit {
  double limit = 0.0;
  RunLengthEstimate run_length;  // At that limit, in the very runs it was solved from.
};

// One run's records: where the statistic was higher than ever before, and how high.
struct Record {
  std::uint64_t at = 0;  // Values seen by then, this one included.
  double statistic = 0.0;
};

// The limit at which the mean time to a record above it is `run_length`. kUnsupported where the
// records do not reach that far.
base::Result<SolvedLimit> LimitFromRecords(const std::vector<std::vector<Record>>& runs,
                                           double run_length);

// The limit for a run length in one sweep, for a chart that alarms when its statistic exceeds a
// limit which plays no other part: `chart(base::Random&)` shows it one value and gives the
// statistic. Some two to three times `runs` x `run_length` values; with 1,000 runs the run length
// is met to +-6 % (95 %), with 4,000 to +-3 %.
// kInvalidArgument unless 2 <= run_length <= 1e8; kUnsupported where the work runs out.
template <typename Start>
base::Result<SolvedLimit> SolveLimit(const MonteCarlo& work, double run_length, Start&& start) {
  if (!(run_length >= 2.0 && run_length <= 1e8) || work.runs < 10) {
    return base::Error{base::ErrorCode::kInvalidArgument,
                       "limit by Monte Carlo: run_length must be between 2 and 1e8, runs >= 10"};
  }
  const auto target = static_cast<std::uint64_t>(run_length) + 1;
  std::uint64_t spent = 0;

  // How high 64 runs come within the target: a limit that 45 % of them pass runs some 1.7 times as
  // long, so the sweep up to there sees what it needs and little more.
  base::Random pilot_seeds(work.seed + 1);
  std::vector<double> heights;
  for (int pilot = 0; pilot < 64; ++pilot) {
    base::Random random(pilot_seeds.Next());
    auto chart = start();
    double height = chart(random);
    for (std::uint64_t value = 1; value < target; ++value) {
      height = std::max(height, static_cast<double>(chart(random)));
    }
    heights.push_back(height);
    spent += target;
    if (spent > work.values) break;
  }
  std::sort(heights.begin(), heights.end());
  double roof = heights[heights.size() * 55 / 100];

  for (int attempt = 0; attempt < 6; ++attempt) {
    std::vector<std::vector<Record>> runs;
    base::Random seeds(work.seed);
    bool swept = true;
    for (std::uint64_t run = 0; run < work.runs && swept; ++run) {
      base::Random random(seeds.Next());
      auto chart = start();
      std::vector<Record> records;
      for (std::uint64_t at = 1;; ++at) {
        if (spent++ >= work.values) {
          swept = false;
          break;
        }
        const double statistic = chart(random);
        if (records.empty() || statistic > records.back().statistic) {
          records.push_back({at, statistic});
          if (statistic > roof) break;
        }
      }
      runs.push_back(std::move(records));
    }
    if (!swept) break;
    base::Result<SolvedLimit> solved = LimitFromRecords(runs, run_length);
    if (solved.ok()) return solved;
    roof = attempt < 2 ? heights[heights.size() * (attempt == 0 ? 75 : 95) / 100]
                       : roof + std::max(0.1 * std::abs(roof), 1e-6);
  }
  return base::Error{base::ErrorCode::kUnsupported,
                     "limit by Monte Carlo: the values ran out before the limit was found"};
}

// Where to look for a limit that shapes the chart itself (a delta, an alpha, a lambda).
struct LimitSearch {
  double run_length = 10'000.0;
  double low = 0.0;  // Both > 0; the search halves on a logarithmic scale.
  double high = 0.0;
  bool falling = false;     // The run length falls as the limit rises (an alpha or delta).
  double tolerance = 0.02;  // Ends when the estimate is so near, relatively, or the bracket shut.
  MonteCarlo work = {};     // Runs of one probe; values of all probes together.
};

// The limit for a run length by bisection, `estimate` giving the run length at a limit (with
// EstimateRunLength and the work it is handed). Probes far from the target are short ones.
// kInvalidArgument for a bracket that is none; kUnsupported where the target lies outside it or
// the work runs out.
base::Result<SolvedLimit> SearchLimit(
    const LimitSearch& search,
    const std::function<RunLengthEstimate(double limit, const MonteCarlo& work)>& estimate);

}  // namespace tinylcm::drift
