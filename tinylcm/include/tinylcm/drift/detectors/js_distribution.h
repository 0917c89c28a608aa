// JsDistribution: notices that the mix of classes has changed.
//
// Picture two bar charts: how often each class came while the stream was learned, and how often it
// came lately. The Jensen-Shannon divergence says how unlike they are: 0, the same; 1 bit, no class
// in common. Past `threshold` there is drift.
//
// J. Lin, "Divergence measures based on the Shannon entropy", IEEE Trans. Inf. Theory 37 (1991).
// A value is a class number, 0 to classes - 1.

#pragma once

#include <cstdint>
#include <vector>

#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {

// In bits, of two mixes given as counts. 0 where one of them is empty.
// REQUIRES: as many classes on both sides.
double JensenShannon(std::span<const std::uint32_t> a, std::span<const std::uint32_t> b);

// Not thread-safe. Time in proportion to the classes, no allocation per value.
class JsDistribution final : public Detector {
 public:
  struct Options {
    std::uint32_t classes = 10;          // At most 4,096.
    std::uint32_t reference_size = 500;  // Values that teach what is usual.
    std::uint32_t window_size = 100;     // Latest values compared with it.
    double threshold = 0.0;              // In bits, above 0.
  };

  static base::Result<JsDistribution> Create(const Options& options);

  DriftSignal Observe(double value) override;
  base::Status Accepts(double value) const override;
  double statistic() const override { return statistic_; }
  double limit() const override { return options_.threshold; }
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override {
    return std::make_unique<JsDistribution>(*this);
  }

 private:
  explicit JsDistribution(const Options& options);
  void Restart();

  Options options_;
  std::vector<std::uint32_t> reference_;  // Counts.
  std::vector<std::uint32_t> recent_;     // Counts of what is in the ring.
  std::vector<std::uint16_t> ring_;
  std::uint32_t learned_ = 0;
  std::uint32_t filled_ = 0;
  std::uint32_t next_ = 0;
  double statistic_ = 0.0;
};

}  // namespace tinylcm::drift
