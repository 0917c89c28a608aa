// Backoff: how long to wait after the n-th failure in a row, with full jitter, so that a thousand
// devices do not come back in the same second.

#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>

#include "base/clock.h"
#include "base/random.h"

namespace tinylcm::sync {

class Backoff {
 public:
  struct Options {
    base::Duration least = std::chrono::seconds(5);
    base::Duration most = std::chrono::hours(1);
  };

  Backoff(const Options& options, std::uint64_t seed) : options_(options), random_(seed) {}

  // One more failure: waits anything from `least` to least * 2^n (at most `most`), but never less
  // than the server asked for.
  base::Duration Next(std::optional<base::Duration> retry_after = std::nullopt) {
    base::Duration ceiling = options_.least;
    for (int i = 0; i < failures_ && ceiling < options_.most; ++i) ceiling *= 2;
    ceiling = std::min(ceiling, options_.most);
    if (failures_ < 63) ++failures_;
    const double span = static_cast<double>((ceiling - options_.least).count());
    const base::Duration wait =
        options_.least + base::Duration(static_cast<std::int64_t>(span * random_.Uniform()));
    return retry_after ? std::max(wait, *retry_after) : wait;
  }
  void Reset() { failures_ = 0; }
  int failures() const { return failures_; }

 private:
  Options options_;
  base::Random random_;
  int failures_ = 0;
};

}  // namespace tinylcm::sync
