// LatencySketch: percentiles of durations in fixed memory, mergeable across windows and devices.
//
//   bucket i counts the durations in [1.05^i, 1.05^(i+1)) microseconds
//
// so any percentile is right to 2.5 %, and two sketches are one by adding bucket to bucket,
// whoever made them. After DDSketch (Masson, Rim, Lee, VLDB 2019), with a fixed range of 1 us to
// 100 s: shorter ones count as 1 us, longer ones as 100 s.

#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tinylcm::monitor {

// Not thread-safe. Constant time and no allocation but in Save.
class LatencySketch {
 public:
  static constexpr std::size_t kBuckets = 380;  // 1.05^378 = 1e8 us

  void Add(double us);
  void Merge(const LatencySketch& other);
  void Reset() { *this = LatencySketch{}; }
  std::uint64_t count() const { return count_; }
  // The duration below which `share` of all lie, microseconds; 0 for none. REQUIRES: 0 <= share
  // <= 1.
  double Percentile(double share) const;

  // What is not empty: bucket and count, buckets rising. As it lies in a metrics package
  // (docs/formats/metrics.md).
  using Saved = std::vector<std::pair<std::uint32_t, std::uint64_t>>;
  Saved Save() const;
  // kInvalidArgument for a bucket that there is not, one twice, or more than 2^63 durations.
  static base::Result<LatencySketch> Restore(const Saved& saved);

 private:
  std::array<std::uint64_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
};

}  // namespace tinylcm::monitor
