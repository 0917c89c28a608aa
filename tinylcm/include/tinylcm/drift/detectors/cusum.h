// CUSUM: notices that the mean of a standardised stream has risen (or fallen, or either).
//
// Picture a ratchet. Every value pushes it up by as much as it exceeds the allowance k and lets it
// slip by as much as it falls short; it never slips below the floor. Chance keeps it near the
// floor. A mean that has truly risen winds it up, and past the limit h drift is declared. When it
// was last on the floor tells when the rise began.
//
// The limit is not guessed: state how often a false alarm is bearable (`run_length`) and h follows
// (run_length.h), exactly for normal values, and so for normal scores of conformal ranks.
//
// E. S. Page, "Continuous Inspection Schemes", Biometrika 41 (1954); optimal for a shift of 2k
// (Lorden 1971).

#pragma once

#include <cstdint>

#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {

// Not thread-safe. Constant time and no allocation per value.
class Cusum final : public Detector {
 public:
  enum class Side { kUp, kDown, kBoth };

  struct Options {
    double k = 0.5;           // Allowance, in standard deviations: half the shift worth finding.
    double h = 0.0;           // Limit; 0: solved from run_length. Exactly one of the two is set.
    double run_length = 0.0;  // Mean number of values between false alarms; 0: h holds.
    double mean = 0.0;        // What is usual: values are taken as (value - mean) / sd.
    double sd = 1.0;
    Side side = Side::kUp;
  };

  // Everything learned so far, as plain data, for snapshots and for tests.
  struct State {
    double up = 0.0;  // The ratchets; never negative.
    double down = 0.0;
    double statistic = 0.0;             // The higher of the two, as last compared with the limit.
    std::uint64_t samples = 0;          // Values since the start or the last alarm.
    std::uint64_t samples_at_zero = 0;  // Of these, how many when it was last on the floor.
  };

  static base::Result<Cusum> Create(const Options& options);

  DriftSignal Observe(double value) override;
  double statistic() const override { return state_.statistic; }
  void Reset() override { state_ = State{}; }
  double limit() const override { return options_.h; }
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override { return std::make_unique<Cusum>(*this); }
  const State& state() const { return state_; }
  base::Status Restore(const State& state);  // Refuses what no run could have left behind.

 private:
  explicit Cusum(const Options& options) : options_(options) {}

  Options options_;
  State state_;
};

}  // namespace tinylcm::drift
