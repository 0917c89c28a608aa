#include "tinylcm/drift/detectors/run_length.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numbers>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

using base::Error;
using base::ErrorCode;

constexpr double kLimitMax = 100.0;
constexpr double kDeviationsMax = 30.0;
// Beyond this the linear system is singular to double precision.
constexpr double kRunLengthMax = 1e13;
constexpr double kNever = std::numeric_limits<double>::infinity();

struct Quadrature {
  std::vector<double> points;
  std::vector<double> weights;
};

// Gauss-Legendre on [low, high]: the points are the roots of the Legendre polynomial, found by
// Newton's method from Tricomi's estimate; the recurrence gives the polynomial and its slope.
Quadrature GaussLegendre(std::size_t count, double low, double high) {
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
    rule.points[i] = low + 0.5 * (high - low) * (1.0 - x);
    rule.weights[i] = (high - low) / ((1.0 - x * x) * slope * slope);
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

// One-sided, with L(u) the mean time left from height u and steps of mean `mean`, deviation `step`:
//   L(u) = 1 + L(0) P(u + X - k <= 0) + integral over y in (0, h) of L(y) density(u + X - k = y)
// One row of that: what lies where after a step from `height`. Entry 0 is the floor.
void CusumRow(double height, double k, double mean, double step, const Quadrature& rule,
              std::span<double> row) {
  const double drop = k - mean - height;
  row[0] = NormalProbability(drop / step);
  for (std::size_t j = 0; j < rule.points.size(); ++j) {
    const double z = (rule.points[j] + drop) / step;
    row[j + 1] = std::abs(z) > 9.0 ? 0.0 : rule.weights[j] / step * NormalDensity(z);
  }
}

// Entry 0 is L(0), entry i + 1 is L at point i.
std::vector<double> TimesLeft(double k, double mean, double step, const Quadrature& rule) {
  const std::size_t n = rule.points.size() + 1;
  std::vector<double> a(n * n);
  std::vector<double> time(n, 1.0);
  for (std::size_t i = 0; i < n; ++i) {
    const std::span<double> row(a.data() + i * n, n);
    CusumRow(i == 0 ? 0.0 : rule.points[i - 1], k, mean, step, rule, row);
    for (double& entry : row) entry = -entry;
    row[i] += 1.0;
  }
  Solve(a, time);
  return time;
}

double OneSided(double k, double h, double mean) {
  // The kernel is a bell of width 1 somewhere on [0, h]: two points a unit and some for the ends
  // leave no more than the system's own rounding, 1e-16 of the run length.
  const auto count = static_cast<std::size_t>(12.0 + std::ceil(2.5 * h));
  const double time = TimesLeft(k, mean, 1.0, GaussLegendre(count, 0.0, h))[0];
  return time >= 1.0 && time <= kRunLengthMax ? time : kNever;
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

// Two-sided on (-c, c), one-sided on (-far, c). With L(z) the mean time left from Z = z:
//   L(z) = 1 + integral over y of L(y) density((y - (1 - lambda) z) / lambda - mean) / lambda
double Ewma(const EwmaChart& chart) {
  const double lambda = chart.lambda;
  const double sd = std::sqrt(lambda / (2.0 - lambda));
  const double high = chart.limit * sd;
  // Nine deviations below where Z lives, nobody comes.
  const double low = chart.two_sided ? -high : std::min(0.0, chart.mean) - 9.0 * sd;
  const auto count = static_cast<std::size_t>(16.0 + std::ceil(2.5 * (high - low) / lambda));
  const Quadrature rule = GaussLegendre(count, low, high);

  // Unknown i is L at point i; L(0) follows from them.
  std::vector<double> a(count * count);
  std::vector<double> time(count, 1.0);
  const auto kernel = [&](double from, std::size_t to) {
    return rule.weights[to] / lambda *
           NormalDensity((rule.points[to] - (1.0 - lambda) * from) / lambda - chart.mean);
  };
  for (std::size_t row = 0; row < count; ++row) {
    for (std::size_t j = 0; j < count; ++j) a[row * count + j] = -kernel(rule.points[row], j);
    a[row * count + row] += 1.0;
  }
  Solve(a, time);
  double from_zero = 1.0;
  for (std::size_t j = 0; j < count; ++j) from_zero += kernel(0.0, j) * time[j];
  if (!(from_zero >= 1.0 && from_zero <= kRunLengthMax)) return kNever;
  return from_zero;
}

double Shewhart(const ShewhartChart& chart) {
  const double above = NormalProbability(chart.mean - chart.limit);
  return 1.0 / (above + (chart.two_sided ? NormalProbability(-chart.mean - chart.limit) : 0.0));
}

// The limit at which log(run length) - log(target) is 0, for a run length that grows with the
// limit; `guess` is where to look first.
template <typename RunLengthAt>
base::Result<double> LimitFor(const char* what, double target, double guess, double most,
                              RunLengthAt&& run_length) {
  const auto excess = [&](double limit) {
    return std::log(std::min<double>(run_length(limit), kRunLengthMax)) - std::log(target);
  };
  double low = std::clamp(guess - 0.05, 1e-6, most);
  double high = std::clamp(guess + 0.05, 1e-6, most);
  double low_excess = excess(low);
  double high_excess = excess(high);
  if (!(low_excess <= 0.0 && high_excess >= 0.0 && low < high)) {
    low = 1e-6;
    low_excess = excess(low);
    if (low_excess > 0.0) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat(what, ": even with a limit of 0 it runs longer than ", target)};
    }
    high = std::min(1.0, most);
    high_excess = excess(high);
    while (high_excess < 0.0) {
      if (high >= most) {
        return Error{ErrorCode::kInvalidArgument,
                     base::StrCat(what, ": the limit would be above ", most)};
      }
      low = high;
      low_excess = high_excess;
      high = std::min(high * 1.5, most);
      high_excess = excess(high);
    }
  }

  // The logarithm of the run length is nearly straight in the limit, so false position is quick;
  // halving the weight of an end that stays (Illinois) keeps it from creeping.
  for (int step = 0; step < 200 && high - low > 1e-12 * high; ++step) {
    const double limit = (low * high_excess - high * low_excess) / (high_excess - low_excess);
    const double at = excess(limit);
    if (at == 0.0) return limit;
    if (at > 0.0) {
      high = limit;
      high_excess = at;
      low_excess *= 0.5;
    } else {
      low = limit;
      low_excess = at;
      high_excess *= 0.5;
    }
    // The run length itself is no better known than that.
    if (std::abs(at) < std::max(1e-13, 1e-15 * target)) return limit;
  }
  return 0.5 * (low + high);
}

Error OutOfRange(const char* what, const char* rule) {
  return Error{ErrorCode::kInvalidArgument, base::StrCat(what, ": ", rule)};
}

base::Result<double> Finite(const char* what, double run_length) {
  if (std::isfinite(run_length)) return run_length;
  return Error{ErrorCode::kUnsupported, base::StrCat(what, ": longer than 1e13 values")};
}

bool IsTarget(double run_length) { return run_length >= 2.0 && run_length <= 1e10; }

constexpr char kTargetRule[] = "run_length must be between 2 and 1e10 values";

// Page-Hinkley without forgetting, upward: u <- max(0, u + s_t z - delta), s_t^2 = (t - 1) / t, and
// L_{t-1} = 1 + K_t L_t, followed back from where the step is as good as 1.
class WideningCusum {
 public:
  struct Times {
    double shortest = 0.0;  // Had the step been 1 from kFollowed on ...
    double longest = 0.0;   // ... or stayed as it was then.
  };
  static constexpr std::uint64_t kFollowed = 2'048;

  WideningCusum(double delta, double lambda, std::uint64_t min_instances)
      : delta_(delta),
        first_(std::max<std::uint64_t>(min_instances, 1)),
        tested_(Rule(lambda)),
        // Before the first test it may stand above the limit; 9 deviations of all those steps.
        untested_(Rule(std::max(lambda, 9.0 * std::sqrt(static_cast<double>(first_))))) {}

  // From zero, nothing seen yet. The first value is its own mean and moves nothing.
  Times FromTheStart() const {
    std::vector<double> shortest = TimesLeft(delta_, 0.0, 1.0, tested_);
    std::vector<double> longest = TimesLeft(delta_, 0.0, StepAt(kFollowed), tested_);
    if (!IsPossible(shortest[0]) || !IsPossible(longest[0])) return {kNever, kNever};
    std::vector<double> kernel;
    double width = 0.0;
    bool was_tested = true;
    for (std::uint64_t t = kFollowed; t >= 2; --t) {
      const Quadrature& to = t >= first_ ? tested_ : untested_;
      const Quadrature& from = t - 1 >= first_ ? tested_ : untested_;
      // A width 1e-5 off changes less than the bounds lie apart.
      const double step = StepAt(t);
      const bool border = (t - 1 >= first_) != was_tested || t == first_ - 1;
      was_tested = t - 1 >= first_;
      if (kernel.empty() || border || std::abs(step - width) > 1e-5) {
        width = t > 500 ? step - 1e-5 : step;
        Fill(from, to, width, kernel);
      }
      shortest = Back(kernel, shortest);
      longest = Back(kernel, longest);
    }
    return {1.0 + shortest[0], 1.0 + longest[0]};
  }

 private:
  static double StepAt(std::uint64_t t) { return std::sqrt(1.0 - 1.0 / static_cast<double>(t)); }
  static bool IsPossible(double time) { return time >= 1.0 && time <= kRunLengthMax; }
  static Quadrature Rule(double high) {
    return GaussLegendre(static_cast<std::size_t>(16.0 + std::ceil(3.5 * high)), 0.0, high);
  }

  void Fill(const Quadrature& from, const Quadrature& to, double step,
            std::vector<double>& kernel) const {
    const std::size_t columns = to.points.size() + 1;
    kernel.resize((from.points.size() + 1) * columns);
    for (std::size_t i = 0; i <= from.points.size(); ++i) {
      CusumRow(i == 0 ? 0.0 : from.points[i - 1], delta_, 0.0, step, to,
               std::span<double>(kernel.data() + i * columns, columns));
    }
  }

  static std::vector<double> Back(const std::vector<double>& kernel,
                                  const std::vector<double>& time) {
    std::vector<double> before(kernel.size() / time.size(), 1.0);
    for (std::size_t i = 0; i < before.size(); ++i) {
      for (std::size_t j = 0; j < time.size(); ++j) {
        before[i] += kernel[i * time.size() + j] * time[j];
      }
    }
    return before;
  }

  double delta_;
  std::uint64_t first_;
  Quadrature tested_;
  Quadrature untested_;
};

// Tried: gives the statistic, with no limit.
class PageHinkleyTrial {
 public:
  explicit PageHinkleyTrial(const PageHinkleyChart& chart) : chart_(chart) {}

  double operator()(base::Random& random) {
    const double value = random.Normal();
    count_ += 1;
    mean_ += (value - mean_) / static_cast<double>(count_);
    up_ = chart_.alpha * up_ + (value - mean_ - chart_.delta);
    down_ = chart_.alpha * down_ + (value - mean_ + chart_.delta);
    lowest_ = std::min(lowest_, up_);
    highest_ = std::max(highest_, down_);
    if (count_ < chart_.min_instances) return 0.0;
    return chart_.two_sided ? std::max(up_ - lowest_, highest_ - down_) : up_ - lowest_;
  }

 private:
  PageHinkleyChart chart_;
  std::uint64_t count_ = 0;
  double mean_ = 0.0;
  double up_ = 0.0;
  double down_ = 0.0;
  double lowest_ = kNever;
  double highest_ = -kNever;
};

base::Status CheckPageHinkley(const PageHinkleyChart& chart) {
  constexpr char kWhat[] = "page-hinkley run length";
  if (!(chart.delta >= 0.0 && chart.delta <= 1e3)) {
    return OutOfRange(kWhat, "delta must be between 0 and 1000");
  }
  if (!(chart.alpha > 0.0 && chart.alpha <= 1.0)) {
    return OutOfRange(kWhat, "alpha must be above 0, at most 1");
  }
  if (chart.min_instances > 1'000) return OutOfRange(kWhat, "min_instances must be at most 1000");
  const double most = chart.alpha == 1.0 ? kLimitMax : 1e3;
  if (!(chart.lambda > 0.0 && chart.lambda <= most)) {
    return OutOfRange(kWhat, chart.alpha == 1.0
                                 ? "lambda must be above 0, at most 100 without forgetting"
                                 : "lambda must be above 0, at most 1000");
  }
  return {};
}

// By the equation; alpha is 1.
RunLengthEstimate PageHinkleyBounds(const PageHinkleyChart& chart) {
  auto [low, high] = WideningCusum(chart.delta, chart.lambda, chart.min_instances).FromTheStart();
  if (chart.two_sided) {
    // When one side alarms, the other lies at zero (Kemp 1961) and starts anew, with a step that
    // has widened: E[up] = E[both] + P(down first) E[up, anew], P = 1/2, and "anew" lies between
    // the final chart and the first one.
    const double final = OneSided(chart.delta, chart.lambda, 0.0);
    std::tie(low, high) = std::pair(low - 0.5 * high, high - 0.5 * std::min(final, low));
  }
  return {.mean = 0.5 * (low + high), .low = low, .high = high};
}

}  // namespace

base::Result<double> CusumRunLength(const CusumChart& chart) {
  constexpr char kWhat[] = "cusum run length";
  if (!(chart.k >= 0.0 && chart.k <= 1e3)) {
    return OutOfRange(kWhat, "k must be between 0 and 1000");
  }
  if (!(chart.h > 0.0 && chart.h <= kLimitMax)) {
    return OutOfRange(kWhat, "h must be above 0, at most 100");
  }
  if (!std::isfinite(chart.mean)) return OutOfRange(kWhat, "mean must be finite");
  return Finite(kWhat, RunLength(chart));
}

base::Result<double> CusumLimit(const CusumTarget& target) {
  constexpr char kWhat[] = "cusum limit";
  if (!(target.k > 0.0 && target.k <= 5.0)) {
    return OutOfRange(kWhat, "k must be above 0, at most 5");
  }
  if (!IsTarget(target.run_length)) return OutOfRange(kWhat, kTargetRule);
  const double one_sided = target.two_sided ? 2.0 * target.run_length : target.run_length;
  return LimitFor(
      kWhat, target.run_length, NearlyTheLimit(target.k, one_sided), kLimitMax,
      [&](double h) { return RunLength({.k = target.k, .h = h, .two_sided = target.two_sided}); });
}

base::Result<double> EwmaRunLength(const EwmaChart& chart) {
  constexpr char kWhat[] = "ewma run length";
  if (!(chart.lambda >= 1e-3 && chart.lambda <= 1.0)) {
    return OutOfRange(kWhat, "lambda must be between 0.001 and 1");
  }
  if (!(chart.limit > 0.0 && chart.limit <= kDeviationsMax)) {
    return OutOfRange(kWhat, "limit must be above 0, at most 30");
  }
  if (!(std::abs(chart.mean) <= 1e3)) {
    return OutOfRange(kWhat, "mean must be between -1000 and 1000");
  }
  return Finite(kWhat, Ewma(chart));
}

base::Result<double> EwmaLimit(const EwmaTarget& target) {
  constexpr char kWhat[] = "ewma limit";
  if (!(target.lambda >= 1e-3 && target.lambda <= 1.0)) {
    return OutOfRange(kWhat, "lambda must be between 0.001 and 1");
  }
  if (!IsTarget(target.run_length)) return OutOfRange(kWhat, kTargetRule);
  // As if only every 1 / lambda-th value were one of its own.
  const double sides = target.two_sided ? 2.0 : 1.0;
  const double guess =
      -NormalQuantile(std::min(0.4, 1.0 / (target.lambda * target.run_length * sides + 3.0)));
  return LimitFor(kWhat, target.run_length, guess, kDeviationsMax, [&](double limit) {
    return Ewma({.lambda = target.lambda, .limit = limit, .two_sided = target.two_sided});
  });
}

base::Result<double> ShewhartRunLength(const ShewhartChart& chart) {
  constexpr char kWhat[] = "shewhart run length";
  if (!(chart.limit > 0.0 && chart.limit <= kDeviationsMax)) {
    return OutOfRange(kWhat, "limit must be above 0, at most 30");
  }
  if (!std::isfinite(chart.mean)) return OutOfRange(kWhat, "mean must be finite");
  const double run_length = Shewhart(chart);
  return Finite(kWhat, run_length <= kRunLengthMax ? run_length : kNever);
}

base::Result<double> ShewhartLimit(const ShewhartTarget& target) {
  if (!IsTarget(target.run_length) || (!target.two_sided && target.run_length == 2.0)) {
    return OutOfRange("shewhart limit", kTargetRule);
  }
  return -NormalQuantile((target.two_sided ? 0.5 : 1.0) / target.run_length);
}

base::Result<RunLengthEstimate> PageHinkleyRunLength(const PageHinkleyChart& chart,
                                                     const MonteCarlo& work) {
  RETURN_IF_ERROR(CheckPageHinkley(chart));
  if (chart.alpha == 1.0) {
    const RunLengthEstimate bounds = PageHinkleyBounds(chart);
    const base::Result<double> known = Finite("page-hinkley run length", bounds.high);
    if (!known.ok()) return known.error();
    return bounds;
  }
  return EstimateRunLength(work, [&] {
    return [trial = PageHinkleyTrial(chart), limit = chart.lambda](base::Random& random) mutable {
      return trial(random) > limit;
    };
  });
}

base::Result<SolvedLimit> PageHinkleyLimit(const PageHinkleyChart& chart, double run_length,
                                           const MonteCarlo& work) {
  constexpr char kWhat[] = "page-hinkley limit";
  PageHinkleyChart at = chart;
  at.lambda = 1.0;
  RETURN_IF_ERROR(CheckPageHinkley(at));
  if (!(run_length >= 2.0 && run_length <= 1e8)) {
    return OutOfRange(kWhat, "run_length must be between 2 and 1e8 values");
  }
  if (chart.alpha == 1.0) {
    const double guess =
        NearlyTheLimit(std::max(chart.delta, 1e-3), run_length * (chart.two_sided ? 2.0 : 1.0));
    ASSIGN_OR_RETURN(at.lambda, LimitFor(kWhat, run_length, guess, kLimitMax, [&](double lambda) {
                       at.lambda = lambda;
                       return PageHinkleyBounds(at).mean;
                     }));
    return SolvedLimit{at.lambda, PageHinkleyBounds(at)};
  }
  // As many runs as the work holds.
  MonteCarlo held = work;
  const double affordable = static_cast<double>(work.values) / (4.0 * run_length) - 64.0;
  held.runs = std::min(work.runs, static_cast<std::uint64_t>(std::max(affordable, 50.0)));
  return SolveLimit(held, run_length, [&] { return PageHinkleyTrial(chart); });
}

}  // namespace tinylcm::drift
