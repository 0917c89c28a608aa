#include "tinylcm/monitor/latency_sketch.h"

#include <algorithm>
#include <cmath>

namespace tinylcm::monitor {
namespace {

constexpr double kGrowth = 1.05;

}  // namespace

void LatencySketch::Add(double us) {
  const double exponent = us <= 1.0 ? 0.0 : std::log(us) / std::log(kGrowth);
  const auto bucket = std::min(kBuckets - 1, static_cast<std::size_t>(exponent));
  ++buckets_[bucket];
  ++count_;
}

void LatencySketch::Merge(const LatencySketch& other) {
  for (std::size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
}

double LatencySketch::Percentile(double share) const {
  if (count_ == 0) return 0.0;
  const auto rank = static_cast<std::uint64_t>(share * static_cast<double>(count_ - 1));
  std::uint64_t seen = 0;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    seen += buckets_[i];
    // The middle of the bucket, geometrically.
    if (seen > rank) return std::pow(kGrowth, static_cast<double>(i) + 0.5);
  }
  return std::pow(kGrowth, static_cast<double>(kBuckets));
}

}  // namespace tinylcm::monitor
