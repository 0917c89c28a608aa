// KnnDistance: notices that inputs lie farther from what is known than they used to: the drift
// monitor of the Python prototype, as it was meant.
//
// Picture the CUSUM's ratchet (cusum.h) fed with the mean distance to the nearest neighbours: it is
// wound up by what a distance exceeds the usual one by more than `delta`, and past
// `lambda_threshold` there is drift. The prototype skipped every sample of which its classifier was
// sure, took a hundred times too small a threshold, and learned drifted samples as the new usual;
// here every sample counts and the reference stays as it was learned.
//
// Given by hand, delta and lambda_threshold are in units of the distance, and the reference is the
// mean of the first `warm_up_samples` distances or the one given. Where a run length is given
// instead, each distance is compared with all before it, in their own spread: on normal values
// these scores are independent and standard normal whatever mean and spread are (D. M. Hawkins,
// "Self-starting CUSUM charts for location and scale", The Statistician 36, 1987), so the run
// length is exact without knowing either.

#pragma once

#include <cstdint>
#include <optional>

#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {

// The standard normal score of `value` after `count` normal values with this mean and sum of
// squared deviations: exact in distribution (Student's t, turned by G. W. Hill, CACM 13, 1970).
// 0 where there is no spread and the value is no different. REQUIRES: count >= 3.
double SelfStartingScore(double value, double count, double mean, double squares);

// Not thread-safe. Constant time and no allocation per value.
class KnnDistance final : public Detector {
 public:
  struct Options {
    // The prototype's pair, in units of the distance; both or neither.
    std::optional<double> delta = {};
    std::optional<double> lambda_threshold = {};
    double run_length = 0.0;              // Instead of the pair.
    double k = 0.5;                       // The allowance with a run length, in deviations.
    std::uint64_t warm_up_samples = 100;  // Distances that teach what is usual; 4 or more.
    // What is usual, where it is known; no warm-up then.
    std::optional<double> reference_mean = {};
    double reference_sd = 0.0;  // Needed with a run length and a reference_mean.
  };

  static base::Result<KnnDistance> Create(const Options& options);

  DriftSignal Observe(double value) override;
  double statistic() const override { return statistic_; }
  double limit() const override { return limit_; }
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override { return std::make_unique<KnnDistance>(*this); }

 private:
  KnnDistance(const Options& options, double limit) : options_(options), limit_(limit) { Reset(); }
  void Restart();

  Options options_;
  double limit_;
  double count_ = 0.0;  // Of the reference.
  double mean_ = 0.0;
  double squares_ = 0.0;
  double height_ = 0.0;  // Of the ratchet.
  double statistic_ = 0.0;
};

}  // namespace tinylcm::drift
