#include "tinylcm/model/signals.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"

namespace tinylcm::model {

using drift::Bit;
using drift::Signal;

namespace {

constexpr float kFarthest = drift::kValueMax;
constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr double kAtHome = 0.01;  // Share of the rows that lie right at an end.

// The natural logarithm in plain arithmetic, 1e-13 off at most: a library's may differ in its last
// bit from machine to machine, and a bundle's bytes must not.
double Ln(double value) {
  int exponent = 0;
  double part = std::frexp(value, &exponent);  // [.5, 1)
  if (part < 0.70710678118654752) {
    part *= 2.0;
    --exponent;
  }
  const double s = (part - 1.0) / (part + 1.0);
  const double q = s * s;
  double sum = 0.0;
  for (int k = 15; k >= 1; k -= 2) sum = sum * q + 1.0 / k;
  return 2.0 * s * sum + exponent * 0.69314718055994531;
}

}  // namespace

Signals::Signals(const ModelBundle& bundle)
    : is_image_(bundle.is_image),
      quant_tree_(bundle.reference.quant_tree),
      rail_low_(bundle.reference.rail_low),
      rail_high_(bundle.reference.rail_high),
      last_(bundle.raw_count(), 0.0f) {
  mask_ =
      Bit(Signal::kMargin) | Bit(Signal::kEntropy) | Bit(Signal::kClassMix) | Bit(Signal::kStuck);
  if (bundle.anchors.size() > 0) mask_ |= Bit(Signal::kAnchorDistance);
  if (!bundle.reference.centroids.centroids.empty()) {
    centroids_.emplace(bundle.reference.centroids);
    mask_ |= Bit(Signal::kCentroidDistance);
  }
  if (!bundle.reference.ways.half_way.empty()) {
    ways_.emplace(bundle.reference.ways, bundle.manifest.labels.size());
  }
  if (quant_tree_.bins() > 0) mask_ |= Bit(Signal::kQuantTree);
  if (is_image_) {
    mask_ |= Bit(Signal::kBrightness) | Bit(Signal::kSharpness) | Bit(Signal::kSaturation) |
             Bit(Signal::kRail);
  } else if (!rail_low_.empty()) {
    mask_ |= Bit(Signal::kRail);
  }
}

void Signals::Measure(const From& from, drift::Sample& sample) {
  const std::uint16_t predicted = from.prediction.nearest;
  sample.predicted = predicted;
  sample.has = 0;
  if ((mask_ & Bit(Signal::kAnchorDistance)) != 0) {
    sample.Set(Signal::kAnchorDistance, from.prediction.anchor_distance);
  }
  float first = 0.0f;
  float second = 0.0f;
  double entropy = 0.0;
  for (const float share : from.share) {
    if (share > first) {
      second = std::exchange(first, share);
    } else if (share > second) {
      second = share;
    }
    if (share > 0.0f) entropy -= static_cast<double>(share) * Ln(static_cast<double>(share));
  }
  sample.Set(Signal::kMargin, first - second);
  sample.Set(Signal::kEntropy, static_cast<float>(std::max(entropy, 0.0)));
  if (centroids_ && centroids_->knows(predicted)) {
    const float distance =
        ways_ ? ways_->Along(from.raw, predicted) : centroids_->Distance(from.feature, predicted);
    // Infinite, or infinite less infinite: farther than can be told.
    sample.Set(Signal::kCentroidDistance, distance < kFarthest ? distance : kFarthest);
  }
  if (quant_tree_.bins() > 0) {
    sample.Set(Signal::kQuantTree, static_cast<float>(feature::BinOf(quant_tree_, from.feature)));
  }
  sample.Set(Signal::kClassMix, static_cast<float>(predicted));
  if (is_image_) {
    CHECK(from.figures.size() == feature::kPictureFigures);
    sample.Set(Signal::kBrightness, from.figures[feature::kFigureBrightness]);
    sample.Set(Signal::kSharpness, from.figures[feature::kFigureEdgeFocus]);
    sample.Set(Signal::kSaturation, from.figures[feature::kFigureSaturation]);
    sample.Set(Signal::kRail, from.figures[feature::kFigureDarkest]);
  } else if (!rail_low_.empty()) {
    std::uint32_t at_rail = 0;
    for (std::size_t i = 0; i < rail_low_.size(); ++i) {
      at_rail += from.raw[i] <= rail_low_[i] || from.raw[i] >= rail_high_[i] ? 1u : 0u;
    }
    sample.Set(Signal::kRail, static_cast<float>(at_rail) / static_cast<float>(rail_low_.size()));
  }
  sample.Set(Signal::kStuck, Repeats(from));
}

float Signals::Repeats(const From& from) {
  CHECK(from.raw.size() == last_.size());
  std::uint32_t same = 0;
  for (std::size_t i = 0; i < last_.size(); ++i) {
    same += from.raw[i] == last_[i] ? 1u : 0u;
    last_[i] = from.raw[i];
  }
  const bool has_last = std::exchange(has_last_, true);
  if (!is_image_) {
    return has_last ? static_cast<float>(same) / static_cast<float>(last_.size()) : 0.0f;
  }
  // Sums over thousands of noisy pixels, and all that the model says, do not agree by chance.
  const bool is_same = same == last_.size() && std::ranges::equal(from.figures, last_figures_);
  std::ranges::copy(from.figures, last_figures_.begin());
  return has_last && is_same ? 1.0f : 0.0f;
}

Rails FitRails(std::span<const float> rows, std::size_t columns) {
  CHECK(columns > 0);
  const std::size_t count = rows.size() / columns;
  Rails rails;
  if (count == 0) return rails;
  for (std::size_t j = 0; j < columns; ++j) {
    float low = rows[j];
    float high = rows[j];
    for (std::size_t i = 1; i < count; ++i) {
      low = std::min(low, rows[i * columns + j]);
      high = std::max(high, rows[i * columns + j]);
    }
    double at_low = 0.0;
    double at_high = 0.0;
    for (std::size_t i = 0; i < count; ++i) {
      at_low += rows[i * columns + j] == low ? 1.0 : 0.0;
      at_high += rows[i * columns + j] == high ? 1.0 : 0.0;
    }
    const double many = std::max(1.0, kAtHome * static_cast<double>(count));
    rails.low.push_back(at_low > many ? std::nextafter(low, -kInfinity) : low);
    rails.high.push_back(at_high > many ? std::nextafter(high, kInfinity) : high);
  }
  return rails;
}

}  // namespace tinylcm::model
