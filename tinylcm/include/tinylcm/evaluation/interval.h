// How sure is a count? The 95 % interval of a rate and of a share, from the count alone.
//
// Picture the same trial repeated by a hundred people: some ninety-five of their intervals hold the
// true figure. Counts are small where alarms are rare, so both are those made for small counts.

#pragma once

#include <cstdint>

namespace tinylcm::evaluation {

struct Interval {
  double low = 0.0;
  double high = 0.0;
};

// Of the mean of a Poisson count (alarms): exact (Garwood, Biometrika 28, 1936), so it covers at
// least as often as promised. No alarm: 0 to 3.69.
Interval PoissonInterval(std::uint64_t count);

// Of a share, `part` out of `whole`: Wilson's score interval (JASA 22, 1927).
// REQUIRES: 0 < whole, part <= whole.
Interval ShareInterval(std::uint64_t part, std::uint64_t whole);

}  // namespace tinylcm::evaluation
