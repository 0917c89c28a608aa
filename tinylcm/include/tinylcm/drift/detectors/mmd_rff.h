// MmdRff: notices any change of a distribution of vectors, in constant memory and without keeping
// any of them.
//
// Picture each row turned into a fingerprint of random waves. The mean fingerprint of a
// distribution tells it from every other one. Two running means are kept, one that forgets fast and
// one that forgets slowly; how far they lie apart is the maximum mean discrepancy between the near
// and the farther past. It is taken in units of what chance gives (1 on average), and past
// `threshold` there is drift.
//
// N. Keriven, D. Garreau, I. Poli, "NEWMA: a new method for scalable model-free online
// change-point detection", IEEE Trans. Signal Processing 68 (2020); random features: A. Rahimi,
// B. Recht, NIPS 2007. The first rows teach mean and spread of each number, so that none outweighs
// the others by its unit alone.

#pragma once

#include <cstdint>
#include <vector>

#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {

// Not thread-safe. dimensions x features multiplications and as many cosines as features a row, no
// allocation.
class MmdRff final : public Detector {
 public:
  struct Options {
    std::uint32_t dimensions = 1;        // Numbers a row, at most 4,096.
    std::uint32_t features = 32;         // Waves, 1 to 4,096.
    double bandwidth = 1.0;              // Of the kernel, times the root of the dimensions.
    double fast = 0.1;                   // Weight of the newest row in the near past ...
    double slow = 0.02;                  // ... and in the farther one; below `fast`.
    std::uint32_t reference_size = 256;  // Rows that teach mean and spread.
    double threshold = 0.0;              // Above 0.
    std::uint64_t seed = 1;              // Of the waves.
  };

  static base::Result<MmdRff> Create(const Options& options);

  DriftSignal Observe(double value) override { return ObserveRow({&value, 1}); }
  DriftSignal ObserveRow(std::span<const double> values) override;
  std::size_t width() const override { return options_.dimensions; }
  base::Status Accepts(double value) const override;  // From -1e15 to 1e15.
  double statistic() const override { return statistic_; }
  double limit() const override { return options_.threshold; }
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override { return std::make_unique<MmdRff>(*this); }

 private:
  explicit MmdRff(const Options& options);
  void Restart();
  void Fingerprint();  // Of row_ into wave_.

  Options options_;
  std::vector<double> frequencies_;  // [feature][dimension]
  std::vector<double> phases_;
  std::vector<double> row_;   // Standardised.
  std::vector<double> wave_;  // Its fingerprint.
  std::vector<double> rows_;  // Those learned from.
  std::vector<double> mean_;  // A dimension.
  std::vector<double> scale_;
  std::vector<double> near_;  // The running means.
  std::vector<double> far_;
  double chance_ = 0.0;  // What the squared distance is by chance, on average.
  std::uint32_t learned_ = 0;
  double statistic_ = 0.0;
};

}  // namespace tinylcm::drift
