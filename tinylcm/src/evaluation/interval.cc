#include "tinylcm/evaluation/interval.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace tinylcm::evaluation {

namespace {

constexpr double kTail = 0.025;      // Beyond each end.
constexpr double kNormal = 1.95996;  // Beyond which a standard normal value has the same.

// P(Gamma(shape, 1) <= x), the regularised incomplete gamma function: a series below the mean, a
// continued fraction (Lentz) above it.
double GammaProbability(double shape, double x) {
  if (x <= 0.0) return 0.0;
  const double scale = std::exp(shape * std::log(x) - x - std::lgamma(shape));
  if (x < shape + 1.0) {
    double term = 1.0 / shape;
    double sum = term;
    for (double n = shape + 1.0; term > sum * 1e-16; n += 1.0) {
      term *= x / n;
      sum += term;
    }
    return scale * sum;
  }
  constexpr double kTiny = 1e-300;
  double b = x + 1.0 - shape;
  double c = 1.0 / kTiny;
  double d = 1.0 / b;
  double fraction = d;
  for (double i = 1.0; i < 1e6; i += 1.0) {
    const double a = -i * (i - shape);
    b += 2.0;
    d = a * d + b;
    d = 1.0 / (std::abs(d) < kTiny ? kTiny : d);
    c = b + a / c;
    if (std::abs(c) < kTiny) c = kTiny;
    fraction *= d * c;
    if (std::abs(d * c - 1.0) < 1e-15) break;
  }
  return 1.0 - scale * fraction;
}

double GammaQuantile(double shape, double probability) {
  double low = 0.0;
  double high = shape + 10.0 * std::sqrt(shape) + 10.0;
  for (int i = 0; i < 100; ++i) {
    const double middle = 0.5 * (low + high);
    (GammaProbability(shape, middle) < probability ? low : high) = middle;
  }
  return 0.5 * (low + high);
}

// How many standard errors the counts lie above a true difference of `delta`, with the other shares
// as likely as they can be under it.
double Score(double gained, double lost, double pairs, double delta) {
  // p, the share that is lost, maximises the likelihood if that gained is p + delta.
  const double a = 2.0 * pairs;
  const double b = -gained - lost + (2.0 * pairs - gained + lost) * delta;
  const double c = -lost * delta * (1.0 - delta);
  const double p = (std::sqrt(std::max(0.0, b * b - 4.0 * a * c)) - b) / (2.0 * a);
  const double variance = pairs * (2.0 * p + delta * (1.0 - delta));
  const double above = gained - lost - pairs * delta;
  if (variance > 0.0) return above / std::sqrt(variance);
  return above == 0.0 ? 0.0 : std::copysign(HUGE_VAL, above);
}

}  // namespace

Interval PoissonInterval(std::uint64_t count) {
  // So many events by the time x: the waiting time for the count-th is Gamma(count).
  const auto n = static_cast<double>(count);
  return {.low = count == 0 ? 0.0 : GammaQuantile(n, kTail),
          .high = GammaQuantile(n + 1.0, 1.0 - kTail)};
}

Interval ShareInterval(std::uint64_t part, std::uint64_t whole) {
  CHECK(whole > 0 && part <= whole);
  const auto n = static_cast<double>(whole);
  const double share = static_cast<double>(part) / n;
  const double square = kNormal * kNormal / n;
  const double middle = (share + square / 2.0) / (1.0 + square);
  const double half =
      kNormal * std::sqrt(share * (1.0 - share) / n + square / (4.0 * n)) / (1.0 + square);
  return {.low = std::max(0.0, middle - half), .high = std::min(1.0, middle + half)};
}

Interval PairedDifferenceInterval(std::uint64_t gained, std::uint64_t lost, std::uint64_t pairs) {
  CHECK(pairs > 0 && gained + lost <= pairs);
  const auto up = static_cast<double>(gained);
  const auto down = static_cast<double>(lost);
  const auto n = static_cast<double>(pairs);
  const double difference = (up - down) / n;
  // The score falls as the difference rises, from each side of the observed one to its end.
  const auto end = [&](double outside) {
    double inside = difference;
    for (int i = 0; i < 100; ++i) {
      const double middle = 0.5 * (inside + outside);
      (std::abs(Score(up, down, n, middle)) <= kNormal ? inside : outside) = middle;
    }
    return inside;
  };
  return {.low = end(-1.0), .high = end(1.0)};
}

}  // namespace tinylcm::evaluation
