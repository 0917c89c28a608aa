// HDDM_A and HDDM_W: notice that the mean of numbers in [0, 1], an error rate say, has risen (or,
// two-sided, fallen), with a bound that holds whatever the distribution.
//
// Picture a runner who remembers the moment at which he was surely best: the prefix of the stream
// whose mean, with what chance may add to it, is lowest. All that came since is compared with it.
// HDDM_A takes plain means and Hoeffding's inequality: best for a sudden change. HDDM_W takes
// exponentially weighted means and McDiarmid's: best for a gradual one, and quick to forget.
//
// I. Frias-Blanco, J. del Campo-Avila et al., "Online and non-parametric drift detection methods
// based on Hoeffding's bounds", IEEE TKDE 27 (2015). Index for index as river 0.26
// (`drift.binary.HDDMA`, `HDDMW`): the whole state is dropped after an alarm.
//
// HDDM_A compares with all that came, so the longer the quiet the blinder it grows and the rarer
// are its false alarms: it has no mean run length at all. With `restart` it begins anew after that
// many values, and then it has one.

#pragma once

#include <cstdint>
#include <limits>

#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {

// Not thread-safe. Constant time and no allocation per value, which must lie in [0, 1].
class HddmA final : public Detector {
 public:
  struct Options {
    double drift_confidence = 0.001;  // Chance that a quiet stream looks like drift: below 2.
    double warning_confidence = 0.005;
    bool two_sided_test = false;
    std::uint64_t restart = 0;  // Begins anew after so many values without alarm; 0: never.
  };

  static base::Result<HddmA> Create(const Options& options);

  DriftSignal Observe(double value) override;
  base::Status Accepts(double value) const override;
  // How far the mean moved, in units of what drift_confidence allows: drift at 1.
  double statistic() const override { return moved_ / (allowed_ * log_drift_); }
  double limit() const override { return 1.0; }
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override { return std::make_unique<HddmA>(*this); }

 private:
  struct Mean {
    double count = 0.0;
    double mean = 0.0;
    double bound = 0.0;  // Of Hoeffding, at this count.
  };

  explicit HddmA(const Options& options);
  void Restart();

  Options options_;
  double half_log_bound_;  // ln(1 / drift_confidence) / 2
  double log_drift_;       // ln(2 / confidence)
  double log_warning_;
  Mean all_;
  Mean lowest_;
  Mean highest_;
  double moved_ = 0.0;    // Squared, and times twice both counts ...
  double allowed_ = 1.0;  // ... which times ln(2 / confidence) is what is allowed.
};

// Not thread-safe. Constant time and no allocation per value, which must lie in [0, 1].
class HddmW final : public Detector {
 public:
  struct Options {
    double drift_confidence = 0.001;  // Below 1.
    double warning_confidence = 0.005;
    double lambda_val = 0.05;  // Weight of the newest value.
    bool two_sided_test = false;
  };

  static base::Result<HddmW> Create(const Options& options);

  DriftSignal Observe(double value) override;
  base::Status Accepts(double value) const override;
  double statistic() const override { return statistic_; }  // As HddmA.
  double limit() const override { return 1.0; }
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override { return std::make_unique<HddmW>(*this); }

 private:
  struct Part {
    double mean = 0.0;     // Exponentially weighted.
    double weights = 1.0;  // Sum of the squared weights: the bound's condition.
    bool is_begun = false;
  };

  explicit HddmW(const Options& options);
  void Add(Part& part, double value) const;
  // How far `later` is above `earlier`, squared and in units of ln(1 / confidence) / 2.
  static double Risen(const Part& earlier, const Part& later);
  void Restart();

  Options options_;
  double log_drift_;
  double log_warning_;
  Part all_;
  Part before_rise_, after_rise_;
  Part before_fall_, after_fall_;
  double rise_cut_ = std::numeric_limits<double>::infinity();
  double fall_cut_ = -std::numeric_limits<double>::infinity();
  double statistic_ = 0.0;
};

}  // namespace tinylcm::drift
