#include "tinylcm/adapt/row_hypotheses.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::adapt {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr double kByChance = 1e-6;     // Of a channel that is as it was.
constexpr double kRepeatsMin = 0.5;    // A stuck channel mostly repeats itself.
constexpr double kSpreadMin = 0.05;    // Of what it was; below, a channel says nothing any more.
constexpr double kRidge = 0.1;         // Of a channel's variance.
constexpr double kMovedErrors = 4.0;   // Standard errors,
constexpr double kMovedShift = 0.35;   // deviations,
constexpr double kMovedBeyond = 3.0;   // times how far the middle channel moved,
constexpr double kMovedFactor = 1.25;  // and the factor of a spread that count as moved.
constexpr double kGainMin = 0.1;
constexpr double kGainMax = 20.0;

// n times the divergence of a coin that came up `seen` from one of `usual`: minus the logarithm of
// a bound on how often chance does that (Chernoff).
double Surprise(double seen, double usual, double n) {
  if (seen <= usual) return 0.0;
  usual = std::max(usual, 1e-9);
  double divergence = seen * std::log(seen / usual);
  if (seen < 1.0) divergence += (1.0 - seen) * std::log((1.0 - seen) / (1.0 - usual));
  return n * divergence;
}

Status CheckSizes(const RowReference& reference, const RowStatistics& stream) {
  const std::size_t channels = stream.channels();
  if (reference.mean.size() != channels || reference.sd.size() != channels ||
      (!reference.mode_share.empty() && reference.mode_share.size() != channels) ||
      (!reference.covariance.empty() && reference.covariance.size() != channels * channels)) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("row hypotheses: the reference does not fit rows of ", channels)};
  }
  if (stream.count() < kRowsNeeded) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("row hypotheses: ", stream.count(), " rows, ", kRowsNeeded, " are needed")};
  }
  return {};
}

// Solves a * x = b for each column of b in place; a is symmetric, positive definite, row after row,
// and is overwritten. b: [n][columns].
void SolveByCholesky(std::vector<double>& a, std::vector<double>& b, std::size_t n,
                     std::size_t columns) {
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t i = j; i < n; ++i) {
      double sum = a[i * n + j];
      for (std::size_t k = 0; k < j; ++k) sum -= a[i * n + k] * a[j * n + k];
      a[i * n + j] = i == j ? std::sqrt(std::max(sum, 1e-12)) : sum / a[j * n + j];
    }
  }
  for (std::size_t c = 0; c < columns; ++c) {
    for (std::size_t i = 0; i < n; ++i) {
      double sum = b[i * columns + c];
      for (std::size_t k = 0; k < i; ++k) sum -= a[i * n + k] * b[k * columns + c];
      b[i * columns + c] = sum / a[i * n + i];
    }
    for (std::size_t i = n; i-- > 0;) {
      double sum = b[i * columns + c];
      for (std::size_t k = i + 1; k < n; ++k) sum -= a[k * n + i] * b[k * columns + c];
      b[i * columns + c] = sum / a[i * n + i];
    }
  }
}

// How far a channel moved.
struct Movement {
  std::size_t channel = 0;
  double shift = 0.0;   // In deviations of the reference.
  double spread = 0.0;  // Logarithm of the factor, either way.
  double shift_error = 0.0;
  double spread_error = 0.0;
};

// The lower of two.
double Median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>((values.size() - 1) / 2);
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

// Channels that moved, but for the silent ones; the others are left exactly as they are. Where
// class shares change all channels move a little, so one must stand out from the middle one.
// Nothing where none did, or more than half.
std::vector<InputStep> MakeRowGain(const RowReference& reference, const RowStatistics& stream,
                                   std::span<const std::uint16_t> silent) {
  const std::size_t channels = stream.channels();
  const double n = static_cast<double>(stream.count());
  std::vector<Movement> live;
  std::vector<double> shifts;
  std::vector<double> spreads;
  for (std::size_t j = 0; j < channels; ++j) {
    const double was = static_cast<double>(reference.sd[j]);
    const double is = stream.standard_deviation(j);
    if (was <= 0.0 || is <= 0.0 || std::find(silent.begin(), silent.end(), j) != silent.end()) {
      continue;
    }
    // The error of a logarithm of a deviation, by the kurtosis: a normal's 3, or that of a channel
    // that rests but for a share of the rows.
    const double stirs =
        reference.mode_share.empty() ? 1.0 : 1.0 - static_cast<double>(reference.mode_share[j]);
    const double kurtosis = std::max(3.0, 1.0 / std::max(stirs, 1e-3));
    live.push_back(
        {.channel = j,
         .shift = std::abs(stream.mean(j) - static_cast<double>(reference.mean[j])) / was,
         .spread = std::abs(std::log(is / was)),
         .shift_error = is / was / std::sqrt(n),
         .spread_error = std::sqrt((kurtosis - 1.0) / (4.0 * n))});
    shifts.push_back(live.back().shift);
    spreads.push_back(live.back().spread);
  }
  if (live.empty()) return {};
  const double shift_min = kMovedShift + kMovedBeyond * Median(std::move(shifts));
  const double spread_min = std::log(kMovedFactor) + kMovedBeyond * Median(std::move(spreads));
  InputStep step{.kind = StepKind::kRowGain,
                 .base = std::vector<float>(channels, 0.0f),
                 .weights = std::vector<float>(channels, 1.0f)};
  std::size_t moved = 0;
  for (const Movement& movement : live) {
    const bool shifted =
        movement.shift > shift_min && movement.shift > kMovedErrors * movement.shift_error;
    const bool spread =
        movement.spread > spread_min && movement.spread > kMovedErrors * movement.spread_error;
    if (!shifted && !spread) continue;
    ++moved;
    const std::size_t j = movement.channel;
    const double gain =
        spread ? std::clamp(static_cast<double>(reference.sd[j]) / stream.standard_deviation(j),
                            kGainMin, kGainMax)
               : 1.0;
    step.weights[j] = static_cast<float>(gain);
    step.base[j] =
        static_cast<float>(static_cast<double>(reference.mean[j]) - stream.mean(j) * gain);
  }
  if (moved == 0 || 2 * moved > live.size()) return {};
  return {std::move(step)};
}

}  // namespace

RowStatistics::RowStatistics(std::size_t channels)
    : first_(channels, 0.0f),
      last_(channels, 0.0f),
      sum_(channels, 0.0),
      squares_(channels, 0.0),
      repeats_(channels, 0) {}

void RowStatistics::Add(std::span<const float> row) {
  CHECK(row.size() == last_.size());
  if (count_ == 0) std::copy(row.begin(), row.end(), first_.begin());
  for (std::size_t j = 0; j < row.size(); ++j) {
    if (count_ > 0 && row[j] == last_[j]) ++repeats_[j];
    const double value = static_cast<double>(row[j]) - static_cast<double>(first_[j]);
    sum_[j] += value;
    squares_[j] += value * value;
    last_[j] = row[j];
  }
  ++count_;
}

double RowStatistics::mean(std::size_t channel) const {
  CHECK(count_ > 0);
  return static_cast<double>(first_[channel]) + sum_[channel] / static_cast<double>(count_);
}

double RowStatistics::standard_deviation(std::size_t channel) const {
  CHECK(count_ > 0);
  const double n = static_cast<double>(count_);
  const double mean = sum_[channel] / n;
  return std::sqrt(std::max(0.0, squares_[channel] / n - mean * mean));
}

double RowStatistics::repeats(std::size_t channel) const {
  CHECK(count_ > 1);
  return static_cast<double>(repeats_[channel]) / static_cast<double>(count_ - 1);
}

Result<std::vector<std::uint16_t>> SilentChannels(const RowReference& reference,
                                                  const RowStatistics& stream) {
  RETURN_IF_ERROR(CheckSizes(reference, stream));
  const double pairs = static_cast<double>(stream.count() - 1);
  const double limit = -std::log(kByChance / static_cast<double>(stream.channels()));
  std::vector<std::uint16_t> silent;
  for (std::size_t j = 0; j < stream.channels(); ++j) {
    const double was = static_cast<double>(reference.sd[j]);
    if (was <= 0.0) continue;  // It never said anything.
    const double seen = stream.repeats(j);
    const double usual =
        reference.mode_share.empty() ? 0.0 : static_cast<double>(reference.mode_share[j]);
    const bool is_stuck = seen >= kRepeatsMin && Surprise(seen, usual, pairs) > limit;
    // A channel that rests most of the time and once in a while stirs has had its stir to come.
    const bool is_faint =
        stream.standard_deviation(j) < kSpreadMin * was && Surprise(1.0, usual, pairs) > limit;
    if (is_stuck || is_faint) silent.push_back(static_cast<std::uint16_t>(j));
  }
  return silent;
}

InputStep MakeRepair(const RowReference& reference, std::span<const std::uint16_t> silent,
                     bool by_others) {
  const std::size_t channels = reference.mean.size();
  InputStep step{.kind = StepKind::kRepair,
                 .channels = {silent.begin(), silent.end()},
                 .base = {},
                 .weights = std::vector<float>(silent.size() * channels, 0.0f)};
  for (const std::uint16_t channel : silent) step.base.push_back(reference.mean[channel]);
  std::vector<std::size_t> telling;
  for (std::size_t j = 0; j < channels; ++j) {
    const bool is_silent =
        std::find(silent.begin(), silent.end(), static_cast<std::uint16_t>(j)) != silent.end();
    if (!is_silent && reference.sd[j] > 0.0f) telling.push_back(j);
  }
  if (!by_others || reference.covariance.empty() || telling.empty()) return step;

  // In units of each channel's deviation: correlations, and the ridge is the same for all.
  const auto correlation = [&](std::size_t i, std::size_t j) {
    const double spread =
        static_cast<double>(reference.sd[i]) * static_cast<double>(reference.sd[j]);
    return static_cast<double>(reference.covariance[i * channels + j]) / spread;
  };
  const std::size_t n = telling.size();
  std::vector<double> a(n * n);
  std::vector<double> b(n * silent.size());
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) a[i * n + j] = correlation(telling[i], telling[j]);
    a[i * n + i] += kRidge;
    for (std::size_t c = 0; c < silent.size(); ++c) {
      b[i * silent.size() + c] = correlation(telling[i], silent[c]);
    }
  }
  SolveByCholesky(a, b, n, silent.size());
  for (std::size_t c = 0; c < silent.size(); ++c) {
    double base = static_cast<double>(reference.mean[silent[c]]);
    for (std::size_t i = 0; i < n; ++i) {
      const double weight = b[i * silent.size() + c] *
                            static_cast<double>(reference.sd[silent[c]]) /
                            static_cast<double>(reference.sd[telling[i]]);
      step.weights[c * channels + telling[i]] = static_cast<float>(weight);
      base -= weight * static_cast<double>(reference.mean[telling[i]]);
    }
    step.base[c] = static_cast<float>(base);
  }
  return step;
}

Result<std::vector<InputHypothesis>> MakeRowHypotheses(const RowReference& reference,
                                                       const RowStatistics& stream) {
  ASSIGN_OR_RETURN(const std::vector<std::uint16_t> silent, SilentChannels(reference, stream));
  std::vector<InputStep> repairs;
  // Of rows that say nothing any more nothing can be made.
  if (!silent.empty() && silent.size() < stream.channels()) {
    repairs.push_back(MakeRepair(reference, silent, false));
    if (!reference.covariance.empty()) repairs.push_back(MakeRepair(reference, silent, true));
  }
  const std::vector<InputStep> gains = MakeRowGain(reference, stream, silent);
  std::vector<InputHypothesis> hypotheses(1);
  for (const InputStep& repair : repairs) hypotheses.push_back(InputHypothesis::Of(repair));
  for (const InputStep& gain : gains) {
    hypotheses.push_back(InputHypothesis::Of(gain));
    for (const InputStep& repair : repairs) hypotheses.push_back({.steps = {gain, repair}});
  }
  return hypotheses;
}

}  // namespace tinylcm::adapt
