// Page-Hinkley: notices that the mean of a stream has risen, fallen, or either.
//
// Picture a walker who steps up by as much as a value exceeds the mean of all values so far, and
// each time down by an allowance `delta`. While nothing happens the walk goes gently downhill. Once
// the mean has risen it climbs, and when it stands `threshold` above its lowest point, drift is
// declared. A second walker, upside down, watches for a fall.
//
// E. S. Page 1954; D. V. Hinkley, "Inference about the change-point from cumulative sum tests",
// Biometrika 58 (1971). Index for index as river 0.26 (`drift.PageHinkley`): the walk fades by
// `alpha` a step and the whole state is dropped after an alarm.

#pragma once

#include <cstdint>
#include <limits>

#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {

// Not thread-safe. Constant time and no allocation per value.
class PageHinkley final : public Detector {
 public:
  enum class Mode { kUp, kDown, kBoth };

  struct Options {
    std::uint64_t min_instances = 30;  // Values before the first test.
    double delta = 0.005;              // Allowance, in units of the values.
    double threshold = 50.0;           // Limit, in units of the values.
    double alpha = 0.9999;             // How much of the walk is kept a step.
    Mode mode = Mode::kBoth;
  };

  static base::Result<PageHinkley> Create(const Options& options);

  DriftSignal Observe(double value) override;
  double statistic() const override { return statistic_; }
  double limit() const override { return options_.threshold; }
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override { return std::make_unique<PageHinkley>(*this); }

 private:
  explicit PageHinkley(const Options& options) : options_(options) { Reset(); }
  void Restart();

  Options options_;
  double samples_ = 0.0;  // A whole number.
  double sum_ = 0.0;
  double up_ = 0.0;  // The walks ...
  double down_ = 0.0;
  double lowest_ = 0.0;  // ... and their turning points.
  double highest_ = 0.0;
  double statistic_ = 0.0;
};

}  // namespace tinylcm::drift
