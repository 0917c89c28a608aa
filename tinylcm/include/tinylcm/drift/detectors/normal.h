// The standard normal distribution: density, distribution and its inverse, to full precision.

#pragma once

namespace tinylcm::drift {

double NormalDensity(double x);
double NormalProbability(double x);  // P(Z <= x).
// The x with P(Z <= x) = p. REQUIRES: 0 < p < 1.
double NormalQuantile(double p);

}  // namespace tinylcm::drift
