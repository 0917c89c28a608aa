// The guesses at what happened to sensor rows.
//
//   repair     channels that fell silent (dead: always the same value; stuck: the value before,
//              again and again) are told by the others, or put at their usual value
//   row_gain   channels whose level or spread moved are brought back to how they were; not where
//              more than half of them did, for then it was not the sensors
//
// A channel is silent if it repeats itself as it would have at fit time less than once in a
// million, or has not a twentieth of its spread left.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/input_hypothesis.h"

namespace tinylcm::adapt {

inline constexpr std::uint64_t kRowsNeeded = 30;  // To say how a stream is.

// How the channels were at fit time (from the bundle's reference), [channels] each.
struct RowReference {
  std::span<const float> mean;
  std::span<const float> sd;
  // Share of rows that hold the channel's commonest value; empty: never the same value twice.
  std::span<const float> mode_share = {};
  std::span<const float> covariance = {};  // [channels * channels]; empty: not known.
};

// How the channels of a stream are, as running sums.
class RowStatistics {
 public:
  explicit RowStatistics(std::size_t channels);
  void Add(std::span<const float> row);  // REQUIRES: `channels` values, in order of arrival.
  std::uint64_t count() const { return count_; }
  std::size_t channels() const { return last_.size(); }
  double mean(std::size_t channel) const;                // REQUIRES: count() > 0.
  double standard_deviation(std::size_t channel) const;  // The same.
  // Share of the rows in which the channel had the value of the row before. REQUIRES: count() > 1.
  double repeats(std::size_t channel) const;

 private:
  std::uint64_t count_ = 0;
  std::vector<float> first_;  // Sums are about it: a level far from 0 costs no digits.
  std::vector<float> last_;
  std::vector<double> sum_;
  std::vector<double> squares_;
  std::vector<std::uint64_t> repeats_;
};

// Channels that fell silent. kInvalidArgument where sizes differ or fewer than kRowsNeeded were
// seen.
base::Result<std::vector<std::uint16_t>> SilentChannels(const RowReference& reference,
                                                        const RowStatistics& stream);

// The silent ones as the others tell them: the conditional mean of a normal distribution with the
// reference's mean and covariance, shrunk by a tenth of each channel's variance; without a
// covariance, or with `by_others` false, the usual value.
InputStep MakeRepair(const RowReference& reference, std::span<const std::uint16_t> silent,
                     bool by_others);

// Identity first; then what is worth a try, of: repair by the usual value, repair by the others,
// row_gain, and row_gain before either.
base::Result<std::vector<InputHypothesis>> MakeRowHypotheses(const RowReference& reference,
                                                             const RowStatistics& stream);

}  // namespace tinylcm::adapt
