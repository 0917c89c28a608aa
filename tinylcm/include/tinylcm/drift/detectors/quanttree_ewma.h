// QuantTreeEwma: notices any change of a distribution, of one number or of many, without assuming
// what it looks like.
//
// Picture the space cut into bins that hold equally many of the values learned from. While nothing
// changes each bin gets its share of the newcomers; `lambda` slowly fades a tally of who got how
// many. When the tally is too unlike the shares there is drift. Where the bins lie is learned from
// ranks, so the limit is the same for every continuous distribution.
//
// G. Boracchi et al., "QuantTree: histograms for change detection in multivariate data streams",
// ICML 2018; L. Frittoli, D. Carrera, G. Boracchi, "Nonparametric and online change detection in
// multivariate datastreams using QuantTree", IEEE TKDE 2022. The limit is our own Monte Carlo's,
// constant in time, with the bins' sampling error in it.

#pragma once

#include <cstdint>
#include <vector>

#include "base/random.h"
#include "tinylcm/drift/detectors/detector.h"

namespace tinylcm::drift {

// Not thread-safe. At most `bins` comparisons a row, no allocation.
class QuantTreeEwma final : public Detector {
 public:
  struct Options {
    std::uint32_t dimensions = 1;        // Numbers a row, at most 4,096.
    std::uint32_t bins = 16;             // 2 to 256.
    double lambda = 0.03;                // Weight of the newest value.
    std::uint32_t reference_size = 256;  // Rows that teach where the bins lie.
    double threshold = 0.0;              // Above 0.
    std::uint64_t seed = 1;              // Which dimension is cut, and from which side.
  };

  static base::Result<QuantTreeEwma> Create(const Options& options);

  DriftSignal Observe(double value) override { return ObserveRow({&value, 1}); }
  DriftSignal ObserveRow(std::span<const double> values) override;
  std::size_t width() const override { return options_.dimensions; }
  double statistic() const override { return statistic_; }
  double limit() const override { return options_.threshold; }
  void Reset() override;
  void Write(StateWriter& writer) const override;
  void Read(StateReader& reader) override;
  void AddTo(OptionsDigest& digest) const override;
  std::unique_ptr<Detector> Clone() const override {
    return std::make_unique<QuantTreeEwma>(*this);
  }

  // The bin of a row, bins - 1 before it has learned.
  std::uint32_t BinOf(std::span<const double> values) const;

 private:
  explicit QuantTreeEwma(const Options& options);
  void Learn();
  void Restart();

  Options options_;
  std::vector<double> rows_;  // Those learned from, one after the other.
  std::uint32_t learned_ = 0;
  // A bin: what is left beyond `edges_` of dimension `cuts_` (above it, or below).
  std::vector<std::uint16_t> cuts_;
  std::vector<std::uint8_t> is_above_;
  std::vector<double> edges_;
  std::vector<double> shares_;  // Of the rows learned from.
  std::vector<double> tally_;
  std::vector<std::uint32_t> order_;  // Scratch of Learn.
  base::Random random_;
  double statistic_ = 0.0;
};

}  // namespace tinylcm::drift
