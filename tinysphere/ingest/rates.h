// Rates: how much a device may send. Two buckets each, of requests and of bytes, that refill at a
// steady pace (a token bucket); one device that runs wild does not take the others' place.
//
//   requests   ▓▓▓▓▓▓░░  full: 1,000, 50 more a second
//   bytes      ▓▓░░░░░░  full: 512 MB, 32 MB more a second
//
// A pure value but for its lock: time goes in.

#pragma once

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/clock.h"
#include "tinysphere/http/message.h"

namespace tinysphere::ingest {

struct RateOptions {
  double requests = 1000;  // At once: a queue of days, after an outage.
  double requests_a_second = 50;
  double bytes = 512e6;  // At once.
  double bytes_a_second = 32e6;
  std::size_t devices_max = 100'000;  // Known at a time; one that has rested is forgotten first.
};

// May be used from several threads.
class Rates {
 public:
  explicit Rates(const RateOptions& options) : options_(options) {}

  // Takes a request whose body has `bytes` and returns 0, or takes nothing and returns how long to
  // wait. A body larger than a full bucket passes when the bucket is full, and empties it below 0.
  // `uptime`: a clock that never goes back.
  base::Duration Take(const std::string& device_id, std::uint64_t bytes, base::Duration uptime);

  // The same of a request that a device signed, before its body is read: nothing if it may go on,
  // or 429 with Retry-After, unsigned, so that the device tries again. A body without a length
  // counts as much as the largest package.
  std::optional<http::Response> Slow(const http::Request& request, base::Duration uptime);

 private:
  struct Buckets {
    double requests = 0;
    double bytes = 0;
    base::Duration at{};
  };
  void Refill(Buckets& buckets, base::Duration uptime) const;
  void MakeRoom(base::Duration uptime);

  const RateOptions options_;
  std::mutex mutex_;
  std::unordered_map<std::string, Buckets> devices_;
};

}  // namespace tinysphere::ingest
