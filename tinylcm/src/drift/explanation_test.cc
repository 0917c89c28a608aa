#include "tinylcm/drift/explanation.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "base/random.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();
constexpr SignalMask kRowSignals = Bit(Signal::kAnchorDistance) | Bit(Signal::kMargin) |
                                   Bit(Signal::kCentroidDistance) | Bit(Signal::kClassMix);

// A device that tells its history sample by sample: each signal is standard normal but for what the
// test does to it.
class Teller {
 public:
  Teller(std::uint64_t seed, std::uint32_t classes, SignalMask signals = kRowSignals)
      : random(seed),
        history(History::Create({.samples = 512, .classes = classes, .signals = signals}).value()),
        classes_(classes),
        signals_(signals) {}

  // The class of the next sample, to be passed to Tell.
  std::uint16_t AnyClass() { return static_cast<std::uint16_t>(random.Below(classes_)); }

  // `shift` by signal, added to its number; `spread` multiplies it first.
  void Tell(std::uint16_t label, const std::array<double, kSignals>& shift, double spread = 1.0) {
    std::array<float, kSignals> u, effect;
    u.fill(kNothing);
    effect.fill(kNothing);
    for (std::size_t s = 0; s < kSignals; ++s) {
      const auto signal = static_cast<Signal>(s);
      if ((signals_ & Bit(signal)) == 0) continue;
      if (signal == Signal::kClassMix) {
        u[s] = static_cast<float>((label + random.Uniform()) / classes_);
        continue;
      }
      const double value = spread * random.Normal() + shift[s];
      u[s] = static_cast<float>(NormalProbability(value));
      effect[s] = static_cast<float>(value);
    }
    history.Add(next++, label, u, effect);
  }
  void Quiet(int samples) {
    for (int i = 0; i < samples; ++i) Tell(AnyClass(), {});
  }
  ExplanationInputs Inputs(std::uint64_t alarm_index) const {
    ExplanationInputs inputs;
    inputs.history = &history;
    inputs.alarm_index = alarm_index;
    return inputs;
  }

  base::Random random;
  History history;
  std::uint64_t next = 0;

 private:
  std::uint32_t classes_;
  SignalMask signals_;
};

std::array<double, kSignals> Shift(Signal signal, double by) {
  std::array<double, kSignals> shift{};
  shift[At(signal)] = by;
  return shift;
}

TEST(Explanation, SaysWhatSinceWhenAndHowFar) {
  Teller teller(1, 4);
  teller.Quiet(300);
  for (int i = 0; i < 30; ++i) teller.Tell(teller.AnyClass(), Shift(Signal::kAnchorDistance, 2.0));
  const DriftExplanation found = Explain(teller.Inputs(305));
  ASSERT_FALSE(found.signals.empty());
  EXPECT_EQ(found.signals[0].signal, Signal::kAnchorDistance);
  EXPECT_NEAR(static_cast<double>(found.change_index), 300.0, 3.0);
  EXPECT_LE(found.change_first, 300u);
  EXPECT_GE(found.change_last, 300u);
  EXPECT_EQ(found.kind, DriftKind::kAbrupt);
  // Thirty numbers of sd 1: their mean is known to 0.18.
  EXPECT_NEAR(found.sigma, 2.0, 0.55);
  EXPECT_NE(found.text.find("Distances to the known examples rose "), std::string::npos)
      << found.text;
}

}  // namespace
}  // namespace tinylcm::drift
