// KSWIN: notices any change of a distribution, not only of its mean.
//
// Picture a window of the last `window_size` values. Its newest `stat_size` are laid beside as many
// drawn by lot from the older ones; a Kolmogorov-Smirnov test says whether both look alike. If not,
// with a p-value of at most `alpha`, there is drift.
//
// C. Raab, M. Heusinger, F.-M. Schleif, "Reactive soft prototype computing for concept drift
// streams", Neurocomputing 2020. With a `seed` it draws as river 0.26 (`drift.KSWIN`) and CPython
// do, and agrees index for index; without one it draws with base::Random.
//
// The window is kept sorted as values come and go, so a test is one walk along it and sorts
// nothing. A KS statistic of samples of 30 takes few values, so few alphas could be met;
// `is_smooth` spreads each step evenly by lot (a randomised p-value, exactly uniform), so that any
// run length can be had. As only ranks count, that run length holds for every continuous
// distribution.

#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"
#include "tinylcm/drift/detectors/detector.h"
#include "tinylcm/drift/detectors/python_random.h"

namespace tinylcm::drift {

// Not thread-safe. O(window_size) a value, no allocation.
class Kswin final : public Detector {
 public:
  struct Options {
    double alpha = 0.005;                    // Drift at a p-value of at most this.
    std::uint32_t window_size = 100;         // At most 65,535.
    std::uint32_t stat_size = 30;            // At most half the window.
    std::optional<std::uint64_t> seed = {};  // Draws as CPython's random.Random(seed) does.
    bool is_smooth = false;                  // Randomised p-values.
  };

  static base::Result<Kswin> Create(const Options& options);

  DriftSignal Observe(double value) override;
  double statistic() const override { return p_; }  // The p-value: small is alarming.
  double limit() const override { return options_.alpha; }
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override { return std::make_unique<Kswin>(*this); }

 private:
  explicit Kswin(const Options& options);
  void Restart();
  void Replace(std::uint32_t slot, double value);
  std::uint32_t Distance();

  Options options_;
  std::vector<double> tails_;  // tails_[k] = P(D >= k / stat_size), one more at the end: 0.
  std::vector<double> ring_;   // The window, by slot.
  std::uint32_t oldest_ = 0;   // Slot.
  std::uint32_t filled_ = 0;
  std::uint32_t equals_left_ = 0;     // Tests until which equal values may lie in the window.
  std::vector<double> sorted_;        // The window, ascending ...
  std::vector<std::uint16_t> slots_;  // ... and the slot of each.
  std::vector<std::int8_t> weights_;  // By slot: +1 newest, -1 drawn, 0 neither.
  std::vector<std::uint16_t> lots_;   // The older ones' places, ever more shuffled.
  std::vector<std::uint32_t> drawn_;
  base::Random random_;
  std::optional<PythonRandom> python_;
  double p_ = 0.0;
};

}  // namespace tinylcm::drift
