// Whitening: takes out of one signal what is known before the value comes, so that what is left is
// news.
//
// Three things are known. Which class the sample was taken for: some classes lie farther from their
// anchors than others. What time of the cycle it is, where one is configured. And where the last
// value was: a camera that sees the same thing for ten frames gives one observation, not ten. The
// first two are taken off (mean and spread of the class, then of the hour); of the third, a share
// phi of the last value's deviation:
//
//   z_t = (value - mean of its class) / sd of its class, less its hour
//   x_t = z_t - phi z_{t-1}
//
// phi is estimated once from what commissioning gathered, and used only where it is beyond chance
// and worth it (> max(0.1, 3.5 / sqrt(n))); a signal without it, and without a cycle, passes as it
// is, so that equal values stay equal. As the device runs it is estimated again whenever the number
// of samples has doubled. It is set on the high side by half of its own uncertainty: too little
// leaves correlation that rings false alarms, too much costs a little delay.

#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "tinylcm/drift/cycle.h"
#include "tinylcm/drift/sample.h"
#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

// Of one signal. Not thread-safe. No allocation once made.
class Whitening {
 public:
  struct Moments {
    float mean = 0.0f;
    float sd = 1.0f;  // > 0; 1 where all values were equal.
    std::uint32_t samples = 0;
  };
  // What commissioning gathered of this signal: as many of each, one a sample, in order.
  struct Gathered {
    std::span<const float> values;
    std::span<const float> phases;
    std::span<const std::uint16_t> predicted;
    std::span<const SignalMask> has;
    SignalMask bit = 0;  // Of `has`: the sample had this signal.

    bool Has(std::size_t at) const { return (has[at] & bit) != 0; }
  };

  Whitening() = default;
  explicit Whitening(std::uint32_t classes) : moments_(classes), late_(classes) {}

  // Mean and spread of each class, as gathered.
  void SettleMoments(const Gathered& gathered);
  // The share of the last value, likewise; `may_correlate` false leaves it at 0.
  void SettleCorrelation(const Gathered& gathered, bool may_correlate);

  // True where a value passes as it is.
  bool passes() const { return !has_cycle_ && phi_ == 0.0f; }
  // Takes the hour off from here on, but for a signal many of whose values are equal: what an hour
  // does to it is seldom a shift, and taking one off would tell the hour of values that told none.
  void UseCycle() { has_cycle_ = !is_discrete_; }
  bool uses_cycle() const { return has_cycle_; }

  // The value, standardised within its class (the hour still in it); bounded, for a class that
  // hardly spread has others at any distance.
  float Standardise(std::uint16_t predicted, float value) const {
    const Moments& of = moments_[predicted];
    return std::clamp((value - of.mean) / of.sd, -kDeviationsMax, kDeviationsMax);
  }
  // What is news in the value. Call once a sample, in order.
  // REQUIRES: |value| <= kValueMax; 0 <= phase < 1 where a cycle is used.
  float Whiten(std::uint16_t predicted, float value, float phase);
  // The sample had no such value: the next does not follow the last.
  void Skip();

  // What was whitened before is in other units, and worth nothing ...
  enum class Anew : std::uint8_t {
    kNothing,
    kClass,   // ... of this class: commissioning hardly saw it, and now it has moments of its own.
    kSignal,  // ... of all classes: that values hang on the last came to light only now.
  };
  // The value given to Whiten last was an ordinary one.
  Anew Learn(std::uint16_t predicted, float value);
  // Since when values count towards a better phi only once as many more have come and no alarm.
  void Discard();

  float phi() const { return phi_; }
  const Moments& moments(std::uint16_t predicted) const { return moments_[predicted]; }
  Cycle& cycle() { return cycle_; }
  const Cycle& cycle() const { return cycle_; }
  // How far what is news spreads: in units of sd where values are whitened at all, in their own
  // where they pass.
  float spread_of_news(std::uint16_t predicted) const;

  void Reset();
  void Write(StateWriter& writer) const;
  void Read(StateReader& reader);

  static constexpr float kDeviationsMax = 1e9f;
  static constexpr std::uint32_t kGatheredMax = 512;      // By which moments are settled.
  static constexpr std::uint32_t kClassSamplesMin = 8;    // For moments of its own at settling ...
  static constexpr std::uint32_t kLateClassSamples = 32;  // ... and for a class that came later.

 private:
  struct Sums {
    double products = 0.0;
    double squares = 0.0;
    double sum = 0.0;
    double pairs = 0.0;
    void Add(double now, double last);
    Sums& operator+=(const Sums& other);
  };
  struct Late {
    float mean = 0.0f;
    float squares = 0.0f;
    std::uint32_t samples = 0;
  };
  float Estimate(const Sums& sums) const;

  std::vector<Moments> moments_;
  std::vector<Late> late_;
  Cycle cycle_;
  bool has_cycle_ = false;
  bool is_discrete_ = false;  // Of two values gathered, one in 25 pairs or more are equal.
  bool may_correlate_ = false;
  float phi_ = 0.0f;
  // Towards a better phi: what is certain, the block that waits, the block that fills.
  Sums settled_;
  Sums waiting_;
  Sums filling_;
  double refine_at_ = 0.0;
  float previous_ = 0.0f;
  float before_previous_ = 0.0f;
  bool has_previous_ = false;
  bool previous_known_ = false;  // Its class has moments of its own ...
  bool is_pair_ = false;         // ... and so had the one before it.
};

}  // namespace tinylcm::drift
