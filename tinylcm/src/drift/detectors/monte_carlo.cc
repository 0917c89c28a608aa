#include "tinylcm/drift/detectors/monte_carlo.h"

#include <cmath>
#include <limits>

#include "base/text.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

RunLengthEstimate Summarise(std::uint64_t alarms, double squares, std::uint64_t values,
                            bool complete) {
  RunLengthEstimate estimate{.alarms = alarms, .values = values, .complete = complete};
  const auto seen = static_cast<double>(values);
  if (alarms == 0) {
    // With a mean wait of `low`, so long a silence would come once in 40 times.
    estimate.mean = std::numeric_limits<double>::infinity();
    estimate.low = seen / -std::log(0.025);
    estimate.high = std::numeric_limits<double>::infinity();
    return estimate;
  }
  const auto n = static_cast<double>(alarms);
  estimate.mean = seen / n;
  // Waiting times are near geometric: a standard deviation as large as the mean. What was seen
  // takes its place once there is enough of it.
  double relative = 1.0;
  if (complete && alarms >= 30) {
    const double variance = std::max(0.0, squares / n - estimate.mean * estimate.mean);
    relative = std::sqrt(variance) / estimate.mean;
  }
  const double factor = std::exp(1.959964 * relative / std::sqrt(n));
  estimate.low = estimate.mean / factor;
  estimate.high = estimate.mean * factor;
  return estimate;
}

namespace {

// The run lengths of all runs at a limit, or none where a run has no record above it.
bool MeanAt(const std::vector<std::vector<Record>>& runs, double limit, std::uint64_t& values,
            double& squares) {
  values = 0;
  squares = 0.0;
  for (const std::vector<Record>& records : runs) {
    const auto above = std::upper_bound(
        records.begin(), records.end(), limit,
        [](double height, const Record& record) { return height < record.statistic; });
    if (above == records.end()) return false;
    values += above->at;
    squares += static_cast<double>(above->at) * static_cast<double>(above->at);
  }
  return true;
}

}  // namespace

base::Result<SolvedLimit> LimitFromRecords(const std::vector<std::vector<Record>>& runs,
                                           double run_length) {
  // Between two neighbouring records nothing changes, so one of them is the limit: the lowest at
  // which the mean reaches the target.
  std::vector<double> heights;
  for (const std::vector<Record>& records : runs) {
    for (const Record& record : records) heights.push_back(record.statistic);
  }
  std::sort(heights.begin(), heights.end());
  const auto wanted = run_length * static_cast<double>(runs.size());
  std::uint64_t values = 0;
  double squares = 0.0;
  std::size_t low = 0;
  std::size_t high = heights.size();  // One past the last: nobody passes it.
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    const bool passed = MeanAt(runs, heights[middle], values, squares);
    if (passed && static_cast<double>(values) < wanted) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  if (low == heights.size() || !MeanAt(runs, heights[low], values, squares)) {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat("limit by Monte Carlo: no record lies above the limit for ",
                              run_length, " values")};
  }
  return SolvedLimit{heights[low], Summarise(runs.size(), squares, values, true)};
}

base::Result<SolvedLimit> SearchLimit(
    const LimitSearch& search,
    const std::function<RunLengthEstimate(double limit, const MonteCarlo& work)>& estimate) {
  if (!(search.low > 0.0 && search.high > search.low && std::isfinite(search.high))) {
    return Error{ErrorCode::kInvalidArgument,
                 "limit by Monte Carlo: the bracket must be 0 < low < high"};
  }
  if (!(search.run_length >= 2.0 && search.run_length <= 1e8) || search.work.runs < 100) {
    return Error{ErrorCode::kInvalidArgument,
                 "limit by Monte Carlo: run_length must be between 2 and 1e8, runs >= 100"};
  }
  // Answers on which side of the target a limit lies: first a tenth of the runs, then all if that
  // leaves doubt. A run is never followed much beyond what decides.
  std::uint64_t spent = 0;
  const auto probe = [&](double limit) {
    RunLengthEstimate found;
    for (const std::uint64_t runs : {search.work.runs / 10, search.work.runs}) {
      MonteCarlo work = search.work;
      work.runs = runs;
      work.values =
          std::min(work.values - std::min(spent, work.values),
                   static_cast<std::uint64_t>(3.0 * search.run_length * static_cast<double>(runs)));
      found = estimate(limit, work);
      spent += found.values;
      if (spent >= search.work.values) break;
      if (found.alarms == 0 && found.low > search.run_length) break;
      const double doubt = 2.0 * std::log(std::max(found.mean / found.low, 1.0 + 1e-9));
      if (std::abs(std::log(found.mean / search.run_length)) > doubt) break;
    }
    return found;
  };
  const auto too_short = [&](const RunLengthEstimate& found) {
    return found.mean < search.run_length;
  };

  double shorter = search.falling ? search.high : search.low;
  double longer = search.falling ? search.low : search.high;
  const Error ran_out{ErrorCode::kUnsupported,
                      "limit by Monte Carlo: the values ran out before the limit was found"};
  const bool is_between = too_short(probe(shorter)) && !too_short(probe(longer));
  if (spent >= search.work.values) return ran_out;
  if (!is_between) {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat("limit by Monte Carlo: a run length of ", search.run_length,
                              " lies outside limits ", search.low, " to ", search.high)};
  }
  SolvedLimit solved;
  for (int step = 0; step < 60; ++step) {
    const double middle = std::exp(0.5 * (std::log(shorter) + std::log(longer)));
    solved = {middle, probe(middle)};
    if (spent >= search.work.values) return ran_out;
    const bool whole = solved.run_length.complete && solved.run_length.alarms == search.work.runs;
    if (whole && std::abs(solved.run_length.mean / search.run_length - 1.0) <= search.tolerance) {
      break;
    }
    (too_short(solved.run_length) ? shorter : longer) = middle;
    if (std::abs(std::log(longer / shorter)) < 1e-6) {
      solved = {longer, probe(longer)};
      if (spent >= search.work.values) return ran_out;
      break;
    }
  }
  return solved;
}

}  // namespace tinylcm::drift
