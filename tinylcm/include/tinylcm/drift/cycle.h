// Cycle: what day and night, or the days of a week, do to one signal, so that it can be taken off.
//
// Picture a clock face of 24 fields. Over one full turn each field learns the mean and the spread
// of what came while the hand stood in it; from then on every value is judged against its own hour.
// Fields are noisy when a turn holds few samples, and taking noise off puts noise on: so the 24
// means are seen as a sum of waves, and a wave that is no larger than chance would make it is left
// out (Stein's shrinkage, wave by wave). Between the middles of two fields the mean is
// interpolated.
//
// Each further full turn makes the face more precise; a turn in which an alarm came is left out.
// The hand comes with the sample as a number from 0 to 1: nothing here asks for the time.

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

// Not thread-safe. No allocation.
class Cycle {
 public:
  static constexpr std::size_t kBins = 24;

  // A value seen at `phase`. REQUIRES: 0 <= phase < 1, finite.
  void Observe(float phase, float value);
  // The next value does not follow the one before.
  void Interrupt() { has_previous_ = false; }
  // The turn is complete and was a good one: from now on it is part of what Remove knows.
  void Settle();
  // The turn was not a good one: forgets what came since the last Settle.
  void Discard();

  // True from the first value on.
  bool has_begun() const { return has_begun_; }

  // What is left of a value when its hour is taken off: (value - mean) / deviation, where a
  // deviation of 1 is that of all hours. The value itself before the first Settle.
  float Remove(float phase, float value) const;

  float mean(std::size_t bin) const { return mean_[bin]; }
  float deviation(std::size_t bin) const { return deviation_[bin]; }

  void Write(StateWriter& writer) const;
  void Read(StateReader& reader);

 private:
  struct Sums {
    std::array<float, kBins> count{};
    std::array<float, kBins> sum{};
    std::array<float, kBins> squares{};
    float pairs = 0.0f;     // Values that followed one another ...
    float products = 0.0f;  // ... and the sum of their products.
  };

  Sums settled_;
  Sums turn_;
  std::array<float, kBins> mean_{};
  std::array<float, kBins> deviation_ = Ones();
  float previous_ = 0.0f;
  bool has_previous_ = false;
  bool has_begun_ = false;

  static constexpr std::array<float, kBins> Ones() {
    std::array<float, kBins> ones{};
    ones.fill(1.0f);
    return ones;
  }
};

}  // namespace tinylcm::drift
