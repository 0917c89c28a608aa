// Shiryaev-Roberts: notices any lasting change of a standardised stream of normal numbers, without
// being told which one to look for.
//
// Picture sixteen CUSUMs, one for small rises, one for large ones, one for falls, one for a tenth
// of the values gone astray, one for a wider spread ..., whose evidence is added up in one purse
// (bets.h). The purse grows by one coin a value while nothing changes; the change makes one of them
// rich. So one limit serves every size of change, at a delay near that of the CUSUM made for it.
//
// Roberts, Technometrics 8 (1966); Pollak, Annals of Statistics 13 (1985); the mixture: Shin,
// Ramdas, Rinaldo, "E-detectors" (2024).

#pragma once

#include <cstdint>

#include "tinylcm/drift/detectors/bets.h"
#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {

// Not thread-safe. Constant time (some 50 ns) and no allocation per value.
class ShiryaevRoberts final : public Detector {
 public:
  // What may be found: a rise (of all values or of some), a fall, or any change.
  enum class Side { kUp, kDown, kBoth };

  struct Options {
    // Limit of the purse, > 1; 0: solved from run_length. Exactly one of the two is set.
    double limit = 0.0;
    double run_length = 0.0;  // Mean number of values between false alarms, 10 to 1e12.
    double mean = 0.0;        // What is usual: values are taken as (value - mean) / sd.
    double sd = 1.0;
    Side side = Side::kBoth;
  };

  static base::Result<ShiryaevRoberts> Create(const Options& options);

  DriftSignal Observe(double value) override;
  double statistic() const override { return statistic_; }  // What is in the purse.
  double limit() const override { return options_.limit; }
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override {
    return std::make_unique<ShiryaevRoberts>(*this);
  }

 private:
  explicit ShiryaevRoberts(const Options& options);

  Options options_;
  const BetTable* table_;
  BetWeights weights_;
  Stakes stakes_;
  RecentShape shape_;
  double statistic_ = 0.0;
};

}  // namespace tinylcm::drift
