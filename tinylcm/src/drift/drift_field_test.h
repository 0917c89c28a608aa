// A field of ten classes and some channels, for the monitor's tests. Distances are log-normal, each
// class at its own level; drift multiplies them and may move channels 2 to 4. Where asked, margin
// and entropy follow the distance, as they do behind a real classifier, and the class mix is told.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "base/random.h"
#include "tinylcm/drift/detectors/normal.h"
#include "tinylcm/drift/drift_monitor.h"

namespace tinylcm::drift {

inline constexpr SignalMask kFieldSignals = Bit(Signal::kAnchorDistance) | Bit(Signal::kMargin) |
                                            Bit(Signal::kEntropy) | Bit(Signal::kCentroidDistance) |
                                            Bit(Signal::kQuantTree) | Bit(Signal::kClassMix);

// What comes, without a monitor.
class FieldStream {
 public:
  FieldStream(std::uint32_t channels, std::uint64_t seed, std::uint32_t classes = 10)
      : random_(seed), row_(channels), classes_(classes) {}

  // The next sample; its channels are borrowed until the one after.
  Sample Next(double rise_sigma = 0.0, float channel_shift = 0.0f) {
    const auto label = static_cast<std::uint16_t>(random_.Below(classes_));
    const double oddness = random_.Normal() + rise_sigma;
    for (float& value : row_) value = static_cast<float>(random_.Normal());
    for (std::size_t i = 2; i < std::min<std::size_t>(5, row_.size()); ++i)
      row_[i] += channel_shift;
    Sample sample = OneSignal(index++, label, Signal::kAnchorDistance,
                              static_cast<float>(std::exp(0.3 * label + 0.5 * oddness)), row_);
    const double doubt = 0.7 * oddness + 0.7 * random_.Normal();
    sample.Set(Signal::kMargin, static_cast<float>(1.0 / (1.0 + std::exp(doubt - 2.0))));
    sample.Set(Signal::kEntropy, static_cast<float>(std::log1p(std::exp(doubt - 1.0))));
    sample.Set(Signal::kCentroidDistance,
               static_cast<float>(8.0 * std::exp(0.6 * oddness + 0.3 * random_.Normal())));
    sample.Set(Signal::kQuantTree,
               static_cast<float>(std::min(15.0, std::floor(16.0 * random_.Uniform()))));
    sample.Set(Signal::kClassMix, static_cast<float>(label));
    return sample;
  }

  std::uint64_t index = 0;

 private:
  base::Random random_;
  std::vector<float> row_;
  std::uint32_t classes_;
};

// What a factory would have kept of the field's distances.
inline HeldOut FieldHeldOut(std::uint32_t classes, std::size_t count) {
  HeldOut held_out;
  std::vector<std::vector<float>>& distances = held_out[At(Signal::kAnchorDistance)];
  for (std::uint32_t label = 0; label < classes; ++label) {
    std::vector<float>& values = distances.emplace_back();
    for (std::size_t i = 0; i < count; ++i) {
      const double share = (static_cast<double>(i) + 0.5) / static_cast<double>(count);
      values.push_back(static_cast<float>(std::exp(0.3 * label + 0.5 * NormalQuantile(share))));
    }
  }
  return held_out;
}

class Field {
 public:
  explicit Field(DriftMonitor::Options options = {.classes = 10, .channels = 8},
                 std::uint64_t seed = 1)
      : monitor(DriftMonitor::Create(options).value()),
        stream(options.channels, seed, options.classes) {}

  DriftSignal Next(double rise_sigma = 0.0, float channel_shift = 0.0f) {
    return monitor.Observe(stream.Next(rise_sigma, channel_shift));
  }

  // Samples until the alarm, at most `count`; 0 if there was none.
  int UntilAlarm(int count, double rise_sigma = 0.0, float channel_shift = 0.0f) {
    for (int i = 1; i <= count; ++i) {
      if (Next(rise_sigma, channel_shift) == DriftSignal::kDrift) return i;
    }
    return 0;
  }

  DriftMonitor monitor;
  FieldStream stream;
};

}  // namespace tinylcm::drift
