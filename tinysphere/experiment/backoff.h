// Backoff: how long to wait after the nth failure in a row: 1 s, doubling to 5 min, of which a
// random half is left out, so that what failed together does not come back together.

#pragma once

#include <algorithm>

#include "base/clock.h"
#include "base/random.h"

namespace tinysphere::experiment {

inline constexpr base::Duration kBackoffMin{1000};
inline constexpr base::Duration kBackoffMax{5 * 60 * 1000};

// `failures` counts the one that just happened. REQUIRES: failures > 0.
inline base::Duration BackoffAfter(int failures, base::Random& random) {
  const int doublings = std::min(failures - 1, 20);
  const base::Duration whole = std::min(kBackoffMax, kBackoffMin * (std::int64_t{1} << doublings));
  const double share = random.Uniform(0.5, 1.0);
  return base::Duration(static_cast<std::int64_t>(static_cast<double>(whole.count()) * share));
}

}  // namespace tinysphere::experiment
