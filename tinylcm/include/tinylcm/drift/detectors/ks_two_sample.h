// The two-sample Kolmogorov-Smirnov test: do two samples come from one distribution?
//
// Picture both samples sorted into one queue, and a walker who steps right for a member of the one
// and up for a member of the other. Were they alike he would keep near the diagonal. D is how far
// he strays, and the p-value is the share of all walks that stray as far.
//
// N. Smirnov 1939; J. L. Hodges, "The significance probability of the Smirnov two-sample test",
// 1958. As SciPy's `ks_2samp`, two-sided.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tinylcm::drift {

struct KsResult {
  double statistic = 0.0;  // D: the largest distance between the two empirical distributions.
  double p = 1.0;          // Exact, also with ties (then it is conservative).
};

// Cost: n log n to sort, n m for the exact p. Allocates. REQUIRES: neither is empty, all finite.
KsResult KsTest(std::span<const double> a, std::span<const double> b);

// P(D >= k / n) for two samples of n values each without ties. REQUIRES: 0 <= k <= n, n >= 1.
double KsTailOfEqualSizes(std::uint32_t n, std::uint32_t k);

}  // namespace tinylcm::drift
