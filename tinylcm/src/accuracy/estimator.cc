#include "tinylcm/accuracy/estimator.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::accuracy {
namespace {

using base::Error;
using base::ErrorCode;

// Where belief has fallen half-way to a guess, and how steeply it falls there.
constexpr double kHalfBelieved = 2.8;
constexpr double kSteepness = 5.0;

// How far a bundle's belief may be off by itself, as a standard deviation, before the canary is
// asked.
constexpr double kBeliefDeviation = 0.03;

constexpr double kNormal90 = 1.644854;  // 5 % beyond on each side.
constexpr double kAllowance = 0.01;     // Windows of one scene are not independent draws.
// For each unit of the ranks' gap beyond chance. Drift makes answers worse more often than better.
constexpr double kLowPerGap = 0.30;
constexpr double kHighPerGap = 0.15;
constexpr double kGapMax = 0.6;

// Comparisons that count; older ones fade out.
constexpr double kComparisons = 200.0;
constexpr double kComparisonsMin = 20.0;

// What chance, and held-out samples that are not endless, leave of a gap among `answers`.
double GapByChance(double answers) { return 0.05 + 1.15 / std::sqrt(answers); }

}  // namespace

double Belief(double confidence, double reach, std::uint32_t classes) {
  const double guess = 1.0 / static_cast<double>(std::max<std::uint32_t>(classes, 1));
  if (confidence <= guess || reach <= 1.0) return confidence;
  const double kept = 1.0 / (1.0 + std::pow(reach / kHalfBelieved, kSteepness));
  const double usual = 1.0 / (1.0 + std::pow(1.0 / kHalfBelieved, kSteepness));
  return guess + (confidence - guess) * kept / usual;
}

const char* Name(Unknown unknown) {
  switch (unknown) {
    case Unknown::kNot:
      return "";
    case Unknown::kNothingHeldOut:
      return "nothing was held out when the bundle was made";
    case Unknown::kTooFew:
      return "too few answers";
    case Unknown::kTooFar:
      return "the inputs are too unlike the held-out ones";
  }
  return "";
}

base::Result<Estimator> Estimator::Create(const Options& options) {
  const auto refuse = [](std::string_view what) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("accuracy: ", what)};
  };
  if (options.classes < 1) return refuse("classes must be at least 1");
  if (options.window < kAnswersMin || options.window > 65'536) {
    return refuse("window must be between 30 and 65536 answers");
  }
  if (!options.held_out.empty() && options.held_out.size() != options.classes) {
    return refuse("held_out must have a list a class");
  }
  for (const std::vector<float>& values : options.held_out) {
    if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); }) ||
        !std::ranges::is_sorted(values)) {
      return refuse("held_out must be finite and ascending");
    }
  }
  const Canary& canary = options.canary;
  if (canary.right > canary.count || !(canary.believed >= 0.0) ||
      canary.believed > static_cast<double>(canary.count) + 1e-6) {
    return refuse("canary: more right or believed than there are");
  }
  return Estimator(options);
}

Estimator::Estimator(const Options& options)
    : classes_(options.classes),
      held_out_(options.held_out),
      uncertainty_(kBeliefDeviation),
      ring_(options.window) {
  held_out_.resize(classes_);
  for (std::vector<float>& values : held_out_) {
    pooled_.insert(pooled_.end(), values.begin(), values.end());
    if (values.size() < kOwnMin) values.clear();
  }
  std::ranges::sort(pooled_);
  if (options.canary.count == 0) return;

  // The bundle's error of belief is normal(0, kBeliefDeviation) before the canary, whose mean error
  // has the variance of so many yes-or-no answers: the usual mean of the two.
  const auto count = static_cast<double>(options.canary.count);
  const double believed = options.canary.believed / count;
  const double variance = std::max(0.02, believed * (1.0 - believed)) / count;
  const double prior = kBeliefDeviation * kBeliefDeviation;
  const double weight = prior / (prior + variance);
  correction_ = weight * (static_cast<double>(options.canary.right) / count - believed);
  uncertainty_ = kBeliefDeviation * std::sqrt(1.0 - weight);
  usual_ = std::clamp(believed + correction_, 0.0, 1.0);
}

// The rank among the held-out values, ties half, in 64 steps.
std::uint8_t Estimator::BinOf(const Answer& answer) const {
  const std::vector<float>& own = held_out_[answer.predicted];
  const std::vector<float>& among = own.empty() ? pooled_ : own;
  const auto value = static_cast<float>(answer.distance);
  const auto [first, last] = std::ranges::equal_range(among, value);
  const double below = 0.5 * static_cast<double>((first - among.begin()) + (last - among.begin()));
  const double rank = (below + 0.5) / (static_cast<double>(among.size()) + 1.0);
  return static_cast<std::uint8_t>(rank * static_cast<double>(kBins));
}

void Estimator::Observe(const Answer& answer) {
  CHECK(answer.predicted < classes_);
  CHECK(std::isfinite(answer.belief) && std::isfinite(answer.distance));
  if (pooled_.empty()) return;
  ring_[next_] = {static_cast<float>(std::clamp(answer.belief, 0.0, 1.0)), BinOf(answer)};
  next_ = next_ + 1 == ring_.size() ? 0 : next_ + 1;
  filled_ = std::min(filled_ + 1, ring_.size());
}

void Estimator::Compare(bool agrees) {
  const double kept = 1.0 - 1.0 / kComparisons;
  compared_ = kept * compared_ + 1.0;
  differed_ = kept * differed_ + (agrees ? 0.0 : 1.0);
}

Estimate Estimator::Over(std::size_t answers) const {
  Estimate estimate;
  estimate.answers = std::min(answers, filled_);
  if (pooled_.empty()) {
    estimate.unknown = Unknown::kNothingHeldOut;
    return estimate;
  }
  if (estimate.answers < kAnswersMin) return estimate;

  const auto n = static_cast<double>(estimate.answers);
  double sum = 0.0;
  double variance = 0.0;
  std::array<std::uint32_t, kBins> bins{};
  for (std::size_t back = 1; back <= estimate.answers; ++back) {
    const Seen& seen = ring_[next_ >= back ? next_ - back : next_ + ring_.size() - back];
    const auto belief = static_cast<double>(seen.belief);
    sum += belief;
    variance += belief * (1.0 - belief);
    bins[seen.bin] += 1;
  }
  double below = 0.0;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    below += bins[bin];
    const double even = static_cast<double>(bin + 1) / static_cast<double>(kBins);
    estimate.gap = std::max(estimate.gap, std::abs(below / n - even));
  }
  const double beyond_chance = std::max(0.0, estimate.gap - GapByChance(n));
  if (beyond_chance > kGapMax - GapByChance(500.0)) {
    estimate.unknown = Unknown::kTooFar;
    return estimate;
  }

  estimate.unknown = Unknown::kNot;
  estimate.mean = std::clamp(sum / n + correction_, 0.0, 1.0);
  // Also where every answer is believed, one in a hundred may be wrong.
  const double chance = std::max(variance / n, 0.01) / n;
  double half = kNormal90 * std::sqrt(chance + uncertainty_ * uncertainty_) + kAllowance;
  // Where the challenger says something else, one of the two is wrong, and belief cannot tell
  // which.
  if (compared_ >= kComparisonsMin) half += 0.5 * differed_ / compared_;
  estimate.low = std::max(0.0, estimate.mean - half - kLowPerGap * beyond_chance);
  estimate.high = std::min(1.0, estimate.mean + half + kHighPerGap * beyond_chance);
  return estimate;
}

std::optional<Drop> Estimator::DropOver(std::size_t answers) const {
  const Estimate now = Over(answers);
  if (!usual_ || !now.known()) return std::nullopt;
  return Drop{*usual_ - now.mean, *usual_ - now.high, *usual_ - now.low};
}

}  // namespace tinylcm::accuracy
