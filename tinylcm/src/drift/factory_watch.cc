#include "tinylcm/drift/factory_watch.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

constexpr double kAllowance = 0.25;
// Errors of the offset that the allowance alone bears.
constexpr double kErrorsBorne = 4.0;
// Where classes come in spells: errors of a class's own offset that its allowance bears.
constexpr double kClassErrorsBorne = 2.0;
constexpr std::uint32_t kClassSamplesMin = Whitening::kClassSamplesMin;
constexpr float kScoreMax = 8.0f;
constexpr double kNewsMax = 4.0;  // One odd value is no drift.
constexpr double kDiffersMin = 0.5;

// Mean run length of a one-sided CUSUM with limit h whose values drift down by `down` a step
// (Siegmund 1985, 10.4: a Brownian motion with the limit raised by 1.166 for the overshoot).
double RunLength(double down, double h) {
  const double b = h + 1.166;
  const double x = 2.0 * down * b;
  if (std::abs(x) < 1e-3) return b * b;
  return (std::expm1(std::min(x, 700.0)) - x) / (2.0 * down * down);
}

double AllowanceFor(double error) { return std::max(kAllowance, kErrorsBorne * error); }

double AlarmRate(double k, double error, double h) {
  if (error == 0.0) return 2.0 / RunLength(k, h);
  double rate = 0.0;
  double weights = 0.0;
  for (int i = -16; i <= 16; ++i) {
    const double deviation = 0.25 * i;
    const double weight = std::exp(-0.5 * deviation * deviation);
    rate += weight *
            (1.0 / RunLength(k - deviation * error, h) + 1.0 / RunLength(k + deviation * error, h));
    weights += weight;
  }
  return rate / weights;
}

}  // namespace

double LimitWithUnknownMean(double k, double error, double run_length) {
  double low = 0.1;
  double high = 1000.0;
  for (int halving = 0; halving < 40; ++halving) {
    const double middle = 0.5 * (low + high);
    (AlarmRate(k, error, middle) > 1.0 / run_length ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

FactoryWatch::FactoryWatch(std::uint32_t classes, const std::vector<std::vector<float>>& held_out)
    : scales_(classes), whitening_(classes), allowances_(classes, 0.0f) {
  for (std::size_t label = 0; label < held_out.size(); ++label) {
    const std::vector<float>& values = held_out[label];
    const auto count = static_cast<double>(values.size());
    if (count < 2.0) continue;
    double mean = 0.0;
    double squares = 0.0;
    for (const float value : values) mean += value / count;
    for (const float value : values) squares += (value - mean) * (value - mean) / count;
    Scale& scale = scales_[label];
    // Equal values share the middle of their scores.
    for (std::size_t first = 0; first < values.size();) {
      std::size_t last = first;
      while (last + 1 < values.size() && values[last + 1] == values[first]) ++last;
      const double middle = 0.5 * static_cast<double>(first + last) + 0.5;
      scale.values.push_back(values[first]);
      scale.scores.push_back(static_cast<float>(NormalQuantile(middle / count)));
      first = last + 1;
    }
    // All equal: whatever is not is far off.
    scale.slope = squares > 0.0 ? static_cast<float>(1.0 / std::sqrt(squares))
                                : std::numeric_limits<float>::max();
  }
}

float FactoryWatch::Score(std::uint16_t predicted, float value) const {
  const Scale& scale = scales_[predicted];
  if (scale.values.empty()) return std::numeric_limits<float>::quiet_NaN();
  const auto beyond = [&](std::size_t end) {
    const float off = value - scale.values[end];
    return off == 0.0f ? scale.scores[end]
                       : std::clamp(scale.scores[end] + off * scale.slope, -kScoreMax, kScoreMax);
  };
  if (value <= scale.values.front()) return beyond(0);
  if (value >= scale.values.back()) return beyond(scale.values.size() - 1);
  const auto right = static_cast<std::size_t>(
      std::upper_bound(scale.values.begin(), scale.values.end(), value) - scale.values.begin());
  const float low = scale.values[right - 1];
  const float share = (value - low) / (scale.values[right] - low);
  return scale.scores[right - 1] + share * (scale.scores[right] - scale.scores[right - 1]);
}

void FactoryWatch::Settle(double run_length, bool in_spells) {
  double samples = 0.0;
  for (std::size_t label = 0; label < allowances_.size(); ++label) {
    samples += whitening_.moments(static_cast<std::uint16_t>(label)).samples;
  }
  Restart();
  error_ = samples < kClassSamplesMin ? 0.0 : 1.0 / std::sqrt(samples);
  SolveLimit(run_length);
  if (error_ == 0.0) return;
  for (std::size_t label = 0; label < allowances_.size(); ++label) {
    const double own = whitening_.moments(static_cast<std::uint16_t>(label)).samples;
    const double own_error = 1.0 / std::sqrt(std::max(own, static_cast<double>(kClassSamplesMin)));
    const double more = in_spells ? kClassErrorsBorne * std::max(0.0, own_error - error_) : 0.0;
    allowances_[label] = static_cast<float>(AllowanceFor(error_) + more);
  }
}

void FactoryWatch::SolveLimit(double run_length) {
  limit_ = error_ > 0.0 ? LimitWithUnknownMean(AllowanceFor(error_), error_, run_length) : 0.0;
}

void FactoryWatch::Side::Add(double value, double allowance) {
  sum += value - allowance;
  allowed += allowance;
  values += 1;
  samples += 1;
  if (!(sum > 0.0)) *this = Side{};
}

void FactoryWatch::Skip() {
  whitening_.Skip();
  up_.Skip();
  down_.Skip();
}

void FactoryWatch::Observe(std::uint16_t predicted, float value, float phase) {
  const float score = Score(predicted, value);
  // A class whose offset nobody measured cannot be said to have kept it.
  if (!(std::abs(score) <= kScoreMax) || whitening_.moments(predicted).samples == 0) {
    return Skip();
  }
  const float whitened = whitening_.Whiten(predicted, score, phase);
  const float usual = whitening_.passes() ? whitening_.moments(predicted).mean : 0.0f;
  const float news = (whitened - usual) / whitening_.spread_of_news(predicted);
  const double bounded = std::clamp(static_cast<double>(news), -kNewsMax, kNewsMax);
  const double k = allowances_[predicted];
  up_.Add(bounded, k);
  down_.Add(-bounded, k);
}

FactoryWatch::Level FactoryWatch::level() const {
  const bool rose = up_.sum >= down_.sum;
  const Side& side = rose ? up_ : down_;
  const double mean = (side.sum + side.allowed) / std::max(1.0, static_cast<double>(side.values));
  return {side.sum, limit_, rose, rose ? mean : -mean, side.samples};
}

double FactoryWatch::offset() const {
  double sum = 0.0;
  double samples = 0.0;
  for (std::size_t label = 0; label < allowances_.size(); ++label) {
    const Whitening::Moments& moments = whitening_.moments(static_cast<std::uint16_t>(label));
    sum += static_cast<double>(moments.samples) * moments.mean;
    samples += moments.samples;
  }
  return samples > 0.0 ? sum / samples : 0.0;
}

bool FactoryWatch::field_differs() const {
  double samples = 0.0;
  for (std::size_t label = 0; label < allowances_.size(); ++label) {
    samples += whitening_.moments(static_cast<std::uint16_t>(label)).samples;
  }
  if (samples < kClassSamplesMin) return false;
  // What follows one another is alike, and tells less.
  const double phi = whitening_.phi();
  const double error = std::sqrt((1.0 + phi) / ((1.0 - phi) * samples));
  return std::abs(offset()) > std::max(kDiffersMin, kErrorsBorne * error);
}

void FactoryWatch::Restart() { up_ = down_ = Side{}; }

void FactoryWatch::Reset() {
  whitening_.Reset();
  std::ranges::fill(allowances_, 0.0f);
  error_ = limit_ = 0.0;
  Restart();
}

void FactoryWatch::Write(StateWriter& writer) const {
  whitening_.Write(writer);
  writer.PutSpan(allowances_);
  writer.Put(error_);
  up_.Write(writer);
  down_.Write(writer);
}

void FactoryWatch::Side::Write(StateWriter& writer) const {
  writer.Put(sum);
  writer.Put(allowed);
  writer.Put(values);
  writer.Put(samples);
}

void FactoryWatch::Side::Read(StateReader& reader) {
  sum = reader.GetFinite<double>();
  allowed = reader.GetFinite<double>();
  values = reader.Get<std::uint32_t>();
  samples = reader.Get<std::uint32_t>();
  if (sum < 0.0 || allowed < 0.0) reader.Refuse("a sum is below zero");
  if (values > samples) reader.Refuse("more values than samples");
}

void FactoryWatch::Read(StateReader& reader, double run_length) {
  whitening_.Read(reader);
  reader.GetFiniteSpan(allowances_);
  error_ = reader.GetFinite<double>();
  if (!(error_ >= 0.0 && error_ * error_ * kClassSamplesMin <= 1.0 + 1e-9)) {
    reader.Refuse("an offset is known worse than any that is used");
    error_ = 0.0;
  }
  const double allowance_min = error_ > 0.0 ? kAllowance : 0.0;
  for (const float allowance : allowances_) {
    if (allowance < allowance_min) reader.Refuse("an allowance is too small");
  }
  up_.Read(reader);
  down_.Read(reader);
  SolveLimit(run_length);
}

}  // namespace tinylcm::drift
