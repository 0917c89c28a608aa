#include "tinylcm/monitor/latency_sketch.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace tinylcm::monitor {
namespace {

constexpr double kGrowth = 1.05;

}  // namespace

void LatencySketch::Add(double us) {
  // Also for what is no number: the shortest.
  const double exponent = us > 1.0 ? std::log(us) / std::log(kGrowth) : 0.0;
  ++buckets_[static_cast<std::size_t>(std::min(exponent, static_cast<double>(kBuckets - 1)))];
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

LatencySketch::Saved LatencySketch::Save() const {
  Saved saved;
  for (std::size_t i = 0; i < kBuckets; ++i) {
    if (buckets_[i] != 0) saved.emplace_back(static_cast<std::uint32_t>(i), buckets_[i]);
  }
  return saved;
}

base::Result<LatencySketch> LatencySketch::Restore(const Saved& saved) {
  LatencySketch sketch;
  for (const auto& [bucket, count] : saved) {
    if (bucket >= kBuckets || sketch.buckets_[bucket] != 0 || count > INT64_MAX - sketch.count_) {
      return base::Error{base::ErrorCode::kInvalidArgument,
                         base::StrCat("latency sketch: bucket ", bucket, " of ", kBuckets, ": ",
                                      count, " durations")};
    }
    sketch.buckets_[bucket] = count;
    sketch.count_ += count;
  }
  return sketch;
}

}  // namespace tinylcm::monitor
