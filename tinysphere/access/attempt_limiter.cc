#include "tinysphere/access/attempt_limiter.h"

#include <algorithm>
#include <cmath>

namespace tinysphere::access {

double AttemptLimiter::TriesAt(const Bucket& bucket, base::Time now) const {
  // A wall clock that jumped back must not lock anybody out for longer.
  const double passed = std::max<double>(0.0, static_cast<double>((now - bucket.at).count()));
  return std::min(static_cast<double>(options_.tries),
                  bucket.tries + passed / static_cast<double>(options_.refill.count()));
}

base::Duration AttemptLimiter::Take(const std::string& key, base::Time now) {
  auto found = buckets_.find(key);
  if (found == buckets_.end()) {
    if (buckets_.size() >= options_.keys_max) MakeRoom(now);
    found = buckets_.emplace(key, Bucket{static_cast<double>(options_.tries), now}).first;
  }
  Bucket& bucket = found->second;
  bucket.tries = TriesAt(bucket, now);
  bucket.at = now;
  // A little less than one, so that rounding does not ask for one more millisecond.
  if (bucket.tries < 1.0 - 1e-9) {
    const double wait = (1.0 - bucket.tries) * static_cast<double>(options_.refill.count());
    return base::Duration(std::max<std::int64_t>(1, static_cast<std::int64_t>(std::ceil(wait))));
  }
  bucket.tries -= 1.0;
  return base::Duration(0);
}

void AttemptLimiter::MakeRoom(base::Time now) {
  // Full buckets hold nothing that a new one would not.
  std::erase_if(buckets_, [&](const auto& entry) {
    return TriesAt(entry.second, now) >= static_cast<double>(options_.tries);
  });
  if (buckets_.size() < options_.keys_max) return;
  const auto oldest =
      std::min_element(buckets_.begin(), buckets_.end(),
                       [](const auto& a, const auto& b) { return a.second.at < b.second.at; });
  buckets_.erase(oldest);
}

}  // namespace tinysphere::access
