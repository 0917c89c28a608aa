// AttemptLimiter: how often a password may be tried, for an account and from an address.
//
// Each key has a bucket of tries that refills at a steady pace. A pure value: time goes in.

#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "base/clock.h"

namespace tinysphere::access {

// Not thread-safe. Holds at most `keys_max` keys; when full, the fullest buckets go first, then the
// oldest.
class AttemptLimiter {
 public:
  struct Options {
    int tries = 5;                  // At once.
    base::Duration refill{60'000};  // One more try each.
    std::size_t keys_max = 10'000;
  };
  AttemptLimiter() = default;
  explicit AttemptLimiter(const Options& options) : options_(options) {}

  // Takes a try if there is one and returns 0; otherwise how long to wait for one.
  base::Duration Take(const std::string& key, base::Time now);
  // A right password gives the account's tries back.
  void Forgive(const std::string& key) { buckets_.erase(key); }

 private:
  struct Bucket {
    double tries = 0;
    base::Time at{};
  };
  void MakeRoom(base::Time now);
  double TriesAt(const Bucket& bucket, base::Time now) const;

  Options options_;
  std::map<std::string, Bucket> buckets_;
};

}  // namespace tinysphere::access
