#include "tinylcm/evaluation/interval.h"

#include <gtest/gtest.h>

#include <cmath>

namespace {

using tinylcm::evaluation::PoissonInterval;
using tinylcm::evaluation::ShareInterval;

TEST(PoissonInterval, AnswersWithTheTextbooksFigures) {
  // Without an event the upper end solves exp(-x) = .025.
  EXPECT_EQ(PoissonInterval(0).low, 0.0);
  EXPECT_NEAR(PoissonInterval(0).high, -std::log(0.025), 1e-9);
  // With one the lower end solves 1 - exp(-x) = .025.
  EXPECT_NEAR(PoissonInterval(1).low, -std::log(0.975), 1e-9);
  // Garwood's table.
  EXPECT_NEAR(PoissonInterval(1).high, 5.572, 5e-4);
  EXPECT_NEAR(PoissonInterval(5).low, 1.623, 5e-4);
  EXPECT_NEAR(PoissonInterval(5).high, 11.668, 5e-4);
  EXPECT_NEAR(PoissonInterval(100).low, 81.364, 5e-4);
  EXPECT_NEAR(PoissonInterval(100).high, 121.627, 5e-4);
}

TEST(PoissonInterval, IsTheNormalOneForLargeCounts) {
  // 1.96 standard deviations of the square root, and a half for the exactness.
  const auto interval = PoissonInterval(1'000'000);
  EXPECT_NEAR(interval.low, 1e6 - 1960.0, 2.0);
  EXPECT_NEAR(interval.high, 1e6 + 1960.0, 4.0);
}

TEST(ShareInterval, StaysWithinNothingAndAll) {
  EXPECT_NEAR(ShareInterval(0, 10).low, 0.0, 1e-12);
  // None of 10: (1.96^2 / 10) / (1 + 1.96^2 / 10) = .2775.
  EXPECT_NEAR(ShareInterval(0, 10).high, 0.2775, 1e-4);
  EXPECT_NEAR(ShareInterval(10, 10).low, 1.0 - 0.2775, 1e-4);
  EXPECT_NEAR(ShareInterval(10, 10).high, 1.0, 1e-12);
  // Half of 100: .5 -+ .0962.
  EXPECT_NEAR(ShareInterval(50, 100).low, 0.4038, 1e-4);
  EXPECT_NEAR(ShareInterval(50, 100).high, 0.5962, 1e-4);
}

}  // namespace
