#include "tinylcm/drift/cycle.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tinylcm::drift {
namespace {

constexpr std::size_t kBins = Cycle::kBins;
// An hour whose spread is a tenth of the others' is held to be so by chance or by a rail.
constexpr float kDeviationMin = 0.1f;
constexpr float kDeviationMax = 10.0f;

std::size_t BinOf(float phase) {
  return std::min(static_cast<std::size_t>(phase * static_cast<float>(kBins)), kBins - 1);
}

// The 24 values without the waves that chance makes as well: `noise` is the variance of one value's
// error. A wave's power has mean noise / 6 by chance alone (two coefficients, each the mean of 24
// products with variance 1/2, doubled); Stein: take that much off twice, for there are twelve.
std::array<double, kBins> Smooth(const std::array<double, kBins>& values, double noise) {
  double level = 0.0;
  for (const double value : values) level += value / kBins;
  std::array<double, kBins> smooth;
  smooth.fill(level);
  for (std::size_t wave = 1; wave <= kBins / 2; ++wave) {
    const double turn = 2.0 * std::numbers::pi * static_cast<double>(wave) / kBins;
    const double scale = wave == kBins / 2 ? 1.0 / kBins : 2.0 / kBins;
    double cosine = 0.0;
    double sine = 0.0;
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      cosine += scale * values[bin] * std::cos(turn * static_cast<double>(bin));
      sine += scale * values[bin] * std::sin(turn * static_cast<double>(bin));
    }
    const double power = cosine * cosine + sine * sine;
    const double by_chance = noise / 6.0;
    const double share = power > 0.0 ? std::max(0.0, 1.0 - 2.0 * by_chance / power) : 0.0;
    for (std::size_t bin = 0; bin < kBins; ++bin) {
      smooth[bin] += share * (cosine * std::cos(turn * static_cast<double>(bin)) +
                              sine * std::sin(turn * static_cast<double>(bin)));
    }
  }
  return smooth;
}

}  // namespace

void Cycle::Observe(float phase, float value) {
  const std::size_t bin = BinOf(phase);
  turn_.count[bin] += 1.0f;
  turn_.sum[bin] += value;
  turn_.squares[bin] += value * value;
  if (has_previous_) {
    turn_.pairs += 1.0f;
    turn_.products += previous_ * value;
  }
  previous_ = value;
  has_previous_ = true;
  has_begun_ = true;
}

void Cycle::Discard() { turn_ = Sums{}; }

void Cycle::Settle() {
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    settled_.count[bin] += turn_.count[bin];
    settled_.sum[bin] += turn_.sum[bin];
    settled_.squares[bin] += turn_.squares[bin];
  }
  settled_.pairs += turn_.pairs;
  settled_.products += turn_.products;
  turn_ = Sums{};

  double count = 0.0;
  double sum = 0.0;
  double between = 0.0;  // Sum of the squared means of the hours, a value each.
  double within = 0.0;   // Sum of squares around them.
  double occupied = 0.0;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    const double n = settled_.count[bin];
    if (n == 0.0) continue;
    const double mean = settled_.sum[bin] / n;
    count += n;
    occupied += 1.0;
    sum += settled_.sum[bin];
    between += n * mean * mean;
    within += std::max(0.0, settled_.squares[bin] - n * mean * mean);
  }
  if (count < 2.0) return;
  const double overall = sum / count;
  const double spread = std::sqrt(std::max(within / std::max(count - occupied, 1.0), 1e-12));

  // What follows one another is alike: a field's mean is then worth fewer values than it has.
  double alike = 0.0;
  if (settled_.pairs > 0.0f) {
    alike = (settled_.products / settled_.pairs - between / count) / (spread * spread);
    alike = std::clamp(alike, 0.0, 0.99);
  }
  std::array<double, kBins> means;
  std::array<double, kBins> logs;
  double noise = 0.0;
  double noise_of_logs = 0.0;
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    const double n = settled_.count[bin];
    means[bin] = n > 0.0 ? settled_.sum[bin] / n : overall;
    const double squares = settled_.squares[bin] - n * means[bin] * means[bin];
    const double own = n > 2.0 && squares > 0.0 ? std::sqrt(squares / (n - 1.0)) : spread;
    logs[bin] = std::log(own / spread);
    const double known = std::max(n, 1.0);
    noise += spread * spread / known * (1.0 + alike) / (1.0 - alike) / kBins;
    noise_of_logs += 0.5 / known * (1.0 + alike * alike) / (1.0 - alike * alike) / kBins;
  }
  const std::array<double, kBins> smooth = Smooth(means, noise);
  const std::array<double, kBins> smooth_logs = Smooth(logs, noise_of_logs);
  for (std::size_t bin = 0; bin < kBins; ++bin) {
    mean_[bin] = static_cast<float>(smooth[bin]);
    deviation_[bin] =
        std::clamp(static_cast<float>(std::exp(smooth_logs[bin])), kDeviationMin, kDeviationMax);
  }
}

float Cycle::Remove(float phase, float value) const {
  // From the middle of one field to the middle of the next.
  const float at = phase * static_cast<float>(kBins) - 0.5f + static_cast<float>(kBins);
  const auto whole = static_cast<std::size_t>(at);
  const float share = at - static_cast<float>(whole);
  const std::size_t left = whole % kBins;
  const std::size_t right = (whole + 1) % kBins;
  const float mean = mean_[left] + share * (mean_[right] - mean_[left]);
  const float deviation = deviation_[left] + share * (deviation_[right] - deviation_[left]);
  return (value - mean) / deviation;
}

void Cycle::Write(StateWriter& writer) const {
  for (const Sums* sums : {&settled_, &turn_}) {
    writer.PutSpan(sums->count);
    writer.PutSpan(sums->sum);
    writer.PutSpan(sums->squares);
    writer.Put(sums->pairs);
    writer.Put(sums->products);
  }
  writer.PutSpan(mean_);
  writer.PutSpan(deviation_);
  writer.Put(previous_);
  writer.Put(has_previous_);
}

void Cycle::Read(StateReader& reader) {
  for (Sums* sums : {&settled_, &turn_}) {
    reader.GetFiniteSpan(sums->count);
    reader.GetFiniteSpan(sums->sum);
    reader.GetFiniteSpan(sums->squares);
    sums->pairs = reader.GetFinite<float>();
    sums->products = reader.GetFinite<float>();
    for (const float count : sums->count) {
      if (count < 0.0f) reader.Refuse("an hour has fewer than no values");
    }
  }
  reader.GetFiniteSpan(mean_);
  reader.GetFiniteSpan(deviation_);
  previous_ = reader.GetFinite<float>();
  has_previous_ = reader.Get<bool>();
  has_begun_ = true;
  for (const float deviation : deviation_) {
    if (!(deviation >= kDeviationMin)) reader.Refuse("an hour has no spread");
  }
}

}  // namespace tinylcm::drift
