#include "tinylcm/drift/detectors/ks_two_sample.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "base/check.h"

namespace tinylcm::drift {

namespace {

// The share of walks from (0, 0) to (n, m) that ever are `apart` / (n m) from the diagonal: a walk
// is followed step by step, each with the probability it has among all walks, until it strays. All
// terms are positive, so small shares keep their digits.
double ShareThatStrays(std::int64_t n, std::int64_t m, std::int64_t apart) {
  if (apart <= 0) return 1.0;
  // inside[j]: share of walks at (i, j) that have not strayed.
  std::vector<double> inside(static_cast<std::size_t>(m) + 1, 0.0);
  double strayed = 0.0;
  for (std::int64_t i = 0; i <= n; ++i) {
    double below = 0.0;  // Comes from (i, j - 1).
    for (std::int64_t j = 0; j <= m; ++j) {
      double& here = inside[static_cast<std::size_t>(j)];
      // Comes from (i - 1, j), already multiplied by its step, and from below.
      double share = (i == 0 && j == 0) ? 1.0 : here + below;
      if (std::abs(i * m - j * n) >= apart) {
        strayed += share;
        share = 0.0;
      }
      const double left = static_cast<double>(n - i + m - j);
      below = left > 0.0 ? share * static_cast<double>(m - j) / left : 0.0;
      here = left > 0.0 ? share * static_cast<double>(n - i) / left : 0.0;
    }
  }
  return std::min(1.0, strayed);
}

}  // namespace

KsResult KsTest(std::span<const double> a, std::span<const double> b) {
  CHECK(!a.empty() && !b.empty());
  std::vector<double> first(a.begin(), a.end());
  std::vector<double> second(b.begin(), b.end());
  std::sort(first.begin(), first.end());
  std::sort(second.begin(), second.end());
  const auto n = static_cast<std::int64_t>(first.size());
  const auto m = static_cast<std::int64_t>(second.size());
  std::int64_t apart = 0;  // In units of 1 / (n m).
  std::size_t i = 0;
  std::size_t j = 0;
  while (i < first.size() && j < second.size()) {
    const double value = std::min(first[i], second[j]);
    while (i < first.size() && first[i] == value) ++i;
    while (j < second.size() && second[j] == value) ++j;
    apart = std::max(apart,
                     std::abs(static_cast<std::int64_t>(i) * m - static_cast<std::int64_t>(j) * n));
  }
  const double steps = static_cast<double>(n) * static_cast<double>(m);
  return {.statistic = static_cast<double>(apart) / steps, .p = ShareThatStrays(n, m, apart)};
}

double KsTailOfEqualSizes(std::uint32_t n, std::uint32_t k) {
  CHECK(n >= 1 && k <= n);
  if (k == 0) return 1.0;
  // Walks mirrored at the two borders: 2 sum (-1)^(j+1) C(2n, n + jk) / C(2n, n).
  double sum = 0.0;
  double sign = 1.0;
  double ratio = 1.0;  // C(2n, n + reached) / C(2n, n)
  std::uint32_t reached = 0;
  for (std::uint64_t aim = k; aim <= n; aim += k, sign = -sign) {
    while (reached < aim) {
      ++reached;
      ratio *= static_cast<double>(n - reached + 1) / static_cast<double>(n + reached);
    }
    sum += sign * ratio;
  }
  return std::clamp(2.0 * sum, 0.0, 1.0);
}

}  // namespace tinylcm::drift
