#include "tinylcm/drift/detectors/normal.h"

#include <cmath>
#include <numbers>

#include "base/check.h"

namespace tinylcm::drift {

double NormalDensity(double x) {
  return std::exp(-0.5 * x * x) / std::sqrt(2.0 * std::numbers::pi);
}

double NormalProbability(double x) { return 0.5 * std::erfc(-x / std::numbers::sqrt2); }

double NormalQuantile(double p) {
  CHECK(p > 0.0 && p < 1.0);
  // Work in the lower tail, where a probability keeps all its digits.
  if (p > 0.5) return -NormalQuantile(1.0 - p);

  // A start within 4.5e-4 (Abramowitz and Stegun 26.2.23); each Halley step triples the digits.
  const double t = std::sqrt(-2.0 * std::log(p));
  double x = -(t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                       (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))));
  for (int step = 0; step < 2; ++step) {
    const double off = (NormalProbability(x) - p) / NormalDensity(x);
    x -= off / (1.0 + 0.5 * x * off);
  }
  return x;
}

}  // namespace tinylcm::drift
