// EWMA: notices a small, lasting change of the mean of a standardised stream.
//
// Picture a slow needle: each value draws it a little (`lambda`) toward itself. Chance makes it
// tremble about zero; where the mean has moved it settles elsewhere, and past the limit drift is
// declared. A small lambda sees small changes, a large one sees large changes sooner.
//
// S. W. Roberts, "Control chart tests based on geometric moving averages", Technometrics 1 (1959).
// The limit is the constant one, `limit` times the deviation the needle has in the long run.

#pragma once

#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {

// Not thread-safe. Constant time and no allocation per value.
class Ewma final : public Detector {
 public:
  enum class Side { kUp, kDown, kBoth };

  struct Options {
    double lambda = 0.1;      // Weight of the newest value, 0.001 to 1.
    double limit = 0.0;       // In deviations of the needle; 0: solved from run_length.
    double run_length = 0.0;  // Mean number of values between false alarms; 0: the limit holds.
    double mean = 0.0;        // What is usual: values are taken as (value - mean) / sd.
    double sd = 1.0;
    Side side = Side::kBoth;
  };

  // Exactly one of limit and run_length is set.
  static base::Result<Ewma> Create(const Options& options);

  DriftSignal Observe(double value) override;
  double statistic() const override { return statistic_; }  // In deviations of the needle.
  double limit() const override { return options_.limit; }
  void Reset() override { needle_ = statistic_ = 0.0; }
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override { return std::make_unique<Ewma>(*this); }

 private:
  explicit Ewma(const Options& options);
  // Not inlined: merged with the usual case it would keep every value waiting for the comparison.
  [[gnu::noinline]] void Restart();

  Options options_;
  bool is_both_;
  double keep_;   // Of the needle, a value.
  double part_;   // Of the newest value, whatever the unit.
  double scale_;  // 1 / the needle's deviation; below 0 where only a fall counts.
  double needle_ = 0.0;
  double statistic_ = 0.0;
};

}  // namespace tinylcm::drift
