// LatencySketch: percentiles of durations in fixed memory, mergeable across windows and devices.
//
// Durations fall into buckets whose bounds grow by 5 %, so any percentile is right to 2.5 %. After
// DDSketch (Masson, Rim, Lee, VLDB 2019), with a fixed range of 1 us to 100 s.

#pragma once

#include <array>
#include <cstdint>

namespace tinylcm::monitor {

// Not thread-safe. Constant time and no allocation.
class LatencySketch {
 public:
  void Add(double us);
  void Merge(const LatencySketch& other);
  void Reset() { *this = LatencySketch{}; }
  std::uint64_t count() const { return count_; }
  // The duration below which `share` of all lie, microseconds; 0 for none. REQUIRES: 0 <= share
  // <= 1.
  double Percentile(double share) const;

 private:
  static constexpr std::size_t kBuckets = 380;  // 1.05^378 = 1e8 us
  std::array<std::uint32_t, kBuckets> buckets_{};
  std::uint64_t count_ = 0;
};

}  // namespace tinylcm::monitor
