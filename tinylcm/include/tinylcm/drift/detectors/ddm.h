// DDM and EDDM: notice that a model makes more errors than it did at its best. They watch one error
// bit a sample: 1, the answer was wrong.
//
// Picture a record of the best times: DDM keeps the lowest "error rate plus its deviation" there
// ever was and compares today's with it, in deviations of then. EDDM looks at how far errors lie
// apart and compares with the farthest there ever was, which shows a slow change sooner.
//
// J. Gama et al., "Learning with drift detection", SBIA 2004; M. Baena-Garcia et al., "Early drift
// detection method", 2006. Index for index as river 0.26 (`drift.binary.DDM`, `EDDM`): the whole
// state is dropped after an alarm.
//
// Both grow blinder the longer the quiet lasts, and so have no mean run length; with `restart` they
// begin anew after that many values and have one.

#pragma once

#include <cstdint>
#include <limits>

#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {

// Not thread-safe. Constant time and no allocation per value, which must be 0 or 1.
class Ddm final : public Detector {
 public:
  struct Options {
    std::uint64_t warm_start = 30;   // Values before the first test.
    double warning_threshold = 2.0;  // In deviations at the best time.
    double drift_threshold = 3.0;
    std::uint64_t restart = 0;  // Begins anew after so many values without alarm; 0: never.
  };

  static base::Result<Ddm> Create(const Options& options);

  DriftSignal Observe(double value) override;
  base::Status Accepts(double value) const override;
  double statistic() const override;
  double limit() const override { return options_.drift_threshold; }
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override { return std::make_unique<Ddm>(*this); }

 private:
  explicit Ddm(const Options& options) : options_(options) {}
  void Restart();

  Options options_;
  double samples_ = 0.0;
  double rate_ = 0.0;
  double best_rate_ = 0.0;
  double best_deviation_ = 0.0;
  double best_ = std::numeric_limits<double>::infinity();
  double above_ = 0.0;  // The best rate, as last compared with the limit times this:
  double above_what_ = 0.0;
};

// Not thread-safe. Constant time and no allocation per value, which must be 0 or 1.
class Eddm final : public Detector {
 public:
  struct Options {
    std::uint64_t warm_start = 30;  // Errors, and values, before the first test.
    double alpha = 0.95;            // Warning below this share of the best time's distance ...
    double beta = 0.9;              // ... and drift below this.
    std::uint64_t restart = 0;      // As Ddm.
  };

  static base::Result<Eddm> Create(const Options& options);

  DriftSignal Observe(double value) override;
  base::Status Accepts(double value) const override;
  // One less the share of the best time's distance that is left: drift above 1 - beta.
  double statistic() const override { return statistic_; }
  double limit() const override { return 1.0 - options_.beta; }
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override { return std::make_unique<Eddm>(*this); }

 private:
  explicit Eddm(const Options& options) : options_(options) {}
  void Restart();

  Options options_;
  std::uint64_t samples_ = 0;
  std::uint64_t errors_ = 0;
  std::uint64_t last_error_ = 0;
  double mean_ = 0.0;     // Of the distances between errors ...
  double squares_ = 0.0;  // ... and the sum of their squared deviations.
  double best_ = -1.0;
  bool is_warning_ = false;
  double statistic_ = 0.0;
};

}  // namespace tinylcm::drift
