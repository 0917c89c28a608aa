#include "tinylcm/drift/detectors/normal.h"

#include <gtest/gtest.h>

namespace tinylcm::drift {
namespace {

TEST(Normal, HasTheQuantilesOfTheTables) {
  EXPECT_NEAR(NormalQuantile(0.5), 0.0, 1e-15);
  EXPECT_NEAR(NormalQuantile(0.975), 1.959963984540054, 1e-13);
  EXPECT_NEAR(NormalQuantile(0.001), -3.090232306167813, 1e-13);
  EXPECT_NEAR(NormalQuantile(1e-10), -6.361340902404056, 1e-12);
}

TEST(Normal, QuantileUndoesProbability) {
  for (double x = -7.5; x <= 7.5; x += 0.25) {
    // Above zero a probability near 1 has lost digits that no inverse brings back.
    EXPECT_NEAR(NormalQuantile(NormalProbability(x)), x, x > 5.0 ? 1e-2 : 1e-9) << x;
  }
}

TEST(Normal, DensityIsTheSlopeOfProbability) {
  const double step = 1e-5;
  for (double x = -4.0; x <= 4.0; x += 0.5) {
    const double slope = (NormalProbability(x + step) - NormalProbability(x - step)) / (2.0 * step);
    EXPECT_NEAR(NormalDensity(x), slope, 1e-9) << x;
  }
}

TEST(NormalDeathTest, HasNoQuantileAtTheEnds) {
  EXPECT_DEATH(NormalQuantile(0.0), "p > 0.0");
  EXPECT_DEATH(NormalQuantile(1.0), "p < 1.0");
}

}  // namespace
}  // namespace tinylcm::drift
