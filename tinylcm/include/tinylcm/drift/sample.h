// Sample: what the drift engine is told about one answered frame or row.
//
// A handful of numbers, one a signal, each of which says in its own way how the sample sits among
// those that are known. None is left out because the classifier was sure of itself: confident and
// wrong is what drift looks like. A signal that a pipeline does not have (a row has no sharpness)
// is simply not there (`has`).
//
// Larger need not mean worse: whoever watches looks at both ends.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

namespace tinylcm::drift {

enum class Signal : std::uint8_t {
  kAnchorDistance,    // Mean distance to the nearest anchors.
  kMargin,            // The winner's share of the vote less the runner-up's, 0 to 1.
  kEntropy,           // Of the vote, in nats.
  kCentroidDistance,  // Whitened squared distance to the predicted class's centroid.
  kQuantTree,         // In which of the predicted class's bins the feature lies: a category.
  kClassMix,          // The predicted class: a category.
  kBrightness,        // Of a picture; mean.
  kSharpness,
  kSaturation,
  kStuck,  // How much of the input repeats the one before, 0 to 1.
  kRail,   // How much of the input lies at an end of its range, 0 to 1.
};
inline constexpr std::size_t kSignals = 11;

// "anchor_distance", "margin", ...: in events, metrics, configuration and on the screen.
const char* Name(Signal signal);
std::optional<Signal> ParseSignal(std::string_view name);

// True where a value is a name written as a small whole number: larger means nothing.
constexpr bool IsCategory(Signal signal) {
  return signal == Signal::kQuantTree || signal == Signal::kClassMix;
}

// A set of signals, one bit each.
using SignalMask = std::uint32_t;
constexpr SignalMask Bit(Signal signal) { return SignalMask{1} << static_cast<unsigned>(signal); }
constexpr std::size_t At(Signal signal) { return static_cast<std::size_t>(signal); }

// Values up to here can be told apart and their squares added up; what lies beyond is no value.
inline constexpr float kValueMax = 1e15f;

struct Sample {
  std::uint64_t index = 0;               // Grows from sample to sample; need not be gapless.
  std::uint16_t predicted = 0;           // The class it was taken for.
  std::array<float, kSignals> values{};  // By At(signal); of size kValueMax at most where `has`.
  SignalMask has = 0;
  std::span<const float> channels{};  // What an explanation may name; as values. Borrowed.
  // Where in the configured cycle (a day, a week) it was taken, [0, 1); < 0: not known or none.
  // A value, not a clock: nothing in the engine asks for the time.
  float phase = -1.0f;

  Sample& Set(Signal signal, float value) {
    values[At(signal)] = value;
    has |= Bit(signal);
    return *this;
  }
  bool Has(Signal signal) const { return (has & Bit(signal)) != 0; }
};

// A sample of one signal.
inline Sample OneSignal(std::uint64_t index, std::uint16_t predicted, Signal signal, float value,
                        std::span<const float> channels = {}) {
  Sample sample;
  sample.index = index;
  sample.predicted = predicted;
  sample.channels = channels;
  sample.Set(signal, value);
  return sample;
}

}  // namespace tinylcm::drift
