#include "tools/tinyscene/exact_math.h"

#include <gtest/gtest.h>

#include <cmath>

namespace tinyscene {
namespace {

TEST(ExactMath, AgreesWithTheLibraryToItsLastDigits) {
  for (double x = -1.6; x <= 1.6; x += .01) {
    EXPECT_NEAR(SinCosOf(x).sin, std::sin(x), 1e-12) << x;
    EXPECT_NEAR(SinCosOf(x).cos, std::cos(x), 1e-12) << x;
  }
  for (double x = -50; x <= 0; x += .1) {
    EXPECT_NEAR(Exp(x) / std::exp(x), 1, 1e-12) << x;
  }
  for (double x = 0; x <= 1; x += .001) {
    EXPECT_NEAR(PowerOf22(x), std::pow(x, 2.2), 1e-14) << x;
  }
}

TEST(ExactMath, NearlyNormalHasMeanZeroAndDeviationOne) {
  base::Random random(1);
  double sum = 0;
  double squares = 0;
  constexpr int kCount = 100'000;
  for (int i = 0; i < kCount; ++i) {
    const double value = NearlyNormal(random);
    sum += value;
    squares += value * value;
  }
  EXPECT_NEAR(sum / kCount, 0, 4 / std::sqrt(kCount));  // Four standard errors.
  EXPECT_NEAR(squares / kCount, 1, 4 * std::sqrt(2.0 / kCount));
}

TEST(ExactMath, RandomForGivesEachNumberAndStreamItsOwnSequence) {
  EXPECT_EQ(RandomFor(1, 2, 3).Next(), RandomFor(1, 2, 3).Next());
  EXPECT_NE(RandomFor(1, 2, 3).Next(), RandomFor(1, 2, 4).Next());
  EXPECT_NE(RandomFor(1, 2, 3).Next(), RandomFor(1, 3, 3).Next());
  EXPECT_NE(RandomFor(1, 2, 3).Next(), RandomFor(2, 2, 3).Next());
}

}  // namespace
}  // namespace tinyscene
