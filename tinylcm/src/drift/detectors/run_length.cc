#include "tinylcm/drift/detectors/run_length.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <vector>

#include "base/text.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

using base::Error;
using base::ErrorCode;

constexpr double kLimitMax = 100.0;
// Beyond this the linear system is singular to double precision.
constexpr double kRunLengthMax = 1e13;
constexpr double kNever = std::numeric_limits<double>::infinity();

struct Quadrature {
  std::vector<double> points;
  std::vector<double> weights;
};

// Gauss-Legendre on [0, h]: the points are the roots of the Legendre polynomial, found by Newton's
// method from Tricomi's estimate; the recurrence gives the polynomial and its slope.
Quadrature GaussLegendre(std::size_t count, double h) {
  Quadrature rule{std::vector<double>(count), std::vector<double>(count)};
  const double n = static_cast<double>(count);
  for (std::size_t i = 0; i < count; ++i) {
    double x = std::cos(std::numbers::pi * (static_cast<double>(i) + 0.75) / (n + 0.5));
    double slope = 1.0;
    for (int step = 0; step < 100; ++step) {
      double before = 1.0;
      double value = x;
      for (std::size_t degree = 2; degree <= count; ++degree) {
        const double d = static_cast<double>(degree);
        const double next = ((2.0 * d - 1.0) * x * value - (d - 1.0) * before) / d;
        before = value;
        value = next;
      }
      slope = n * (x * value - before) / (x * x - 1.0);
      const double move = value / slope;
      x -= move;
      if (std::abs(move) < 1e-15) break;
    }
    rule.points[i] = 0.5 * h * (1.0 - x);
    rule.weights[i] = h / ((1.0 - x * x) * slope * slope);
  }
  return rule;
}

// Solves a x = b by elimination with row exchange; a is n x n by rows. x replaces b.
void Solve(std::vector<double>& a, std::vector<double>& b) {
  const std::size_t n = b.size();
  for (std::size_t column = 0; column < n; ++column) {
    std::size_t pivot = column;
    for (std::size_t row = column + 1; row < n; ++row) {
      if (std::abs(a[row * n + column]) > std::abs(a[pivot * n + column])) pivot = row;
    }
    if (pivot != column) {
      std::swap_ranges(a.begin() + static_cast<std::ptrdiff_t>(pivot * n),
                       a.begin() + static_cast<std::ptrdiff_t>(pivot * n + n),
                       a.begin() + static_cast<std::ptrdiff_t>(column * n));
      std::swap(b[pivot], b[column]);
    }
    for (std::size_t row = column + 1; row < n; ++row) {
      const double factor = a[row * n + column] / a[column * n + column];
      if (factor == 0.0) continue;
      for (std::size_t j = column; j < n; ++j) a[row * n + j] -= factor * a[column * n + j];
      b[row] -= factor * b[column];
    }
  }
  for (std::size_t row = n; row-- > 0;) {
    for (std::size_t j = row + 1; j < n; ++j) b[row] -= a[row * n + j] * b[j];
    b[row] /= a[row * n + row];
  }
}

// One-sided, from zero. With L(u) the mean time left from height u and values X ~ N(mean, 1):
//   L(u) = 1 + L(0) P(u + X - k <= 0) + integral over y in (0, h) of L(y) density(u + X - k = y)
double OneSided(double k, double h, double mean) {
  // The kernel is a bell of width 1 somewhere on [0, h]: two points a unit and some for the ends
  // leave no more than the system's own rounding, 1e-16 of the run length.
  const auto count = static_cast<std::size_t>(12.0 + std::ceil(2.5 * h));
  const Quadrature rule = GaussLegendre(count, h);

  // Unknown 0 is L(0), unknown i + 1 is L at point i.
  const std::size_t n = count + 1;
  std::vector<double> a(n * n);
  std::vector<double> b(n, 1.0);
  for (std::size_t row = 0; row < n; ++row) {
    const double height = row == 0 ? 0.0 : rule.points[row - 1];
    a[row * n] = -NormalProbability(k - height - mean);
    for (std::size_t j = 0; j < count; ++j) {
      a[row * n + j + 1] = -rule.weights[j] * NormalDensity(rule.points[j] + k - height - mean);
    }
    a[row * n + row] += 1.0;
  }
  Solve(a, b);
  if (!(b[0] >= 1.0 && b[0] <= kRunLengthMax)) return kNever;
  return b[0];
}

double RunLength(const CusumChart& chart) {
  if (!chart.two_sided) return OneSided(chart.k, chart.h, chart.mean);
  // Kemp (1961): the two charts are never both above zero for long enough to interact, so their
  // alarm rates add up, exactly.
  return 1.0 / (1.0 / OneSided(chart.k, chart.h, chart.mean) +
                1.0 / OneSided(chart.k, chart.h, -chart.mean));
}

// Siegmund's approximation of the limit, good to some hundredths: 2 k^2 L = exp(x) - x - 1 with
// x = 2 k (h + 1.166), by Newton's method.
double NearlyTheLimit(double k, double run_length) {
  const double wanted = 2.0 * k * k * run_length;
  double x = std::log(wanted + 2.0) + 1.0;
  for (int step = 0; step < 20; ++step) x -= (std::exp(x) - x - 1.0 - wanted) / (std::exp(x) - 1.0);
  return x / (2.0 * k) - 1.166;
}

}  // namespace

base::Result<double> CusumRunLength(const CusumChart& chart) {
  if (!(chart.k >= 0.0 && chart.k <= 1e3)) {
    return Error{ErrorCode::kInvalidArgument, "cusum run length: k must be between 0 and 1000"};
  }
  if (!(chart.h > 0.0 && chart.h <= kLimitMax)) {
    return Error{ErrorCode::kInvalidArgument, "cusum run length: h must be above 0, at most 100"};
  }
  if (!std::isfinite(chart.mean)) {
    return Error{ErrorCode::kInvalidArgument, "cusum run length: mean must be finite"};
  }
  const double run_length = RunLength(chart);
  if (!std::isfinite(run_length)) {
    return Error{ErrorCode::kUnsupported, "cusum run length: longer than 1e13 values"};
  }
  return run_length;
}

base::Result<double> CusumLimit(const CusumTarget& target) {
  if (!(target.k > 0.0 && target.k <= 5.0)) {
    return Error{ErrorCode::kInvalidArgument, "cusum limit: k must be above 0, at most 5"};
  }
  if (!(target.run_length >= 2.0 && target.run_length <= 1e10)) {
    return Error{ErrorCode::kInvalidArgument,
                 "cusum limit: run length must be between 2 and 1e10 values"};
  }
  const auto excess = [&](double h) {
    const double run_length = RunLength({.k = target.k, .h = h, .two_sided = target.two_sided});
    return std::log(std::min(run_length, kRunLengthMax)) - std::log(target.run_length);
  };

  // Most often the limit lies between these two.
  const double guess =
      NearlyTheLimit(target.k, target.two_sided ? 2.0 * target.run_length : target.run_length);
  double low = std::clamp(guess - 0.05, 1e-6, kLimitMax);
  double high = std::clamp(guess + 0.05, 1e-6, kLimitMax);
  double low_excess = excess(low);
  double high_excess = excess(high);
  if (!(low_excess <= 0.0 && high_excess >= 0.0 && low < high)) {
    low = 1e-6;
    low_excess = excess(low);
    if (low_excess > 0.0) {
      return Error{ErrorCode::kInvalidArgument, base::StrCat("cusum limit: with k ", target.k,
                                                             " even a limit of 0 runs longer")};
    }
    high = 1.0;
    high_excess = excess(high);
    while (high_excess < 0.0) {
      if (high >= kLimitMax) {
        return Error{ErrorCode::kInvalidArgument, "cusum limit: the limit would be above 100"};
      }
      low = high;
      low_excess = high_excess;
      high = std::min(high * 1.5, kLimitMax);
      high_excess = excess(high);
    }
  }

  // The logarithm of the run length is nearly straight in h, so false position is quick; halving
  // the weight of an end that stays (Illinois) keeps it from creeping.
  for (int step = 0; step < 200 && high - low > 1e-12 * high; ++step) {
    const double h = (low * high_excess - high * low_excess) / (high_excess - low_excess);
    const double at = excess(h);
    if (at == 0.0) return h;
    if (at > 0.0) {
      high = h;
      high_excess = at;
      low_excess *= 0.5;
    } else {
      low = h;
      low_excess = at;
      high_excess *= 0.5;
    }
    // The run length itself is no better known than that.
    if (std::abs(at) < std::max(1e-13, 1e-15 * target.run_length)) return h;
  }
  return 0.5 * (low + high);
}

}  // namespace tinylcm::drift
