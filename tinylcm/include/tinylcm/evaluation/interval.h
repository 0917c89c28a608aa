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

// Of the difference of two shares of the same `pairs` things, (gained - lost) / pairs: `gained`
// were wrong in the first and right in the second, `lost` the other way round. The score interval
// of Tango (Statistics in Medicine 17, 1998): it has a width also where nothing changed, and covers
// where there are few pairs and shares near 0 or 1, which the normal one does not.
// REQUIRES: 0 < pairs, gained + lost <= pairs.
Interval PairedDifferenceInterval(std::uint64_t gained, std::uint64_t lost, std::uint64_t pairs);

}  // namespace tinylcm::evaluation
