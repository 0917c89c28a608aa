#include "tinylcm/evaluation/interval.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace {

using tinylcm::evaluation::PairedDifferenceInterval;
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

TEST(PairedDifferenceInterval, HasAWidthWhereNothingChanged) {
  // The score solves n d / (1 - d) = 1.96^2 there: d = 1.96^2 / (n + 1.96^2).
  const double square = 1.95996 * 1.95996;
  for (const std::uint64_t pairs : {6u, 24u, 300u}) {
    const auto interval = PairedDifferenceInterval(0, 0, pairs);
    const double expected = square / (static_cast<double>(pairs) + square);
    EXPECT_NEAR(interval.high, expected, 1e-9);
    EXPECT_NEAR(interval.low, -expected, 1e-9);
  }
}

TEST(PairedDifferenceInterval, TurnsRoundWithItsCounts) {
  const auto one_way = PairedDifferenceInterval(9, 2, 24);
  const auto other_way = PairedDifferenceInterval(2, 9, 24);
  EXPECT_NEAR(one_way.low, -other_way.high, 1e-9);
  EXPECT_NEAR(one_way.high, -other_way.low, 1e-9);
  EXPECT_LT(one_way.low, 7.0 / 24.0);
  EXPECT_GT(one_way.high, 7.0 / 24.0);
  EXPECT_EQ(PairedDifferenceInterval(24, 0, 24).high, 1.0);
}

TEST(PairedDifferenceInterval, IsTheNormalOneForManyPairs) {
  // 3000 gained, 1000 lost of 100,000: .02, its variance (.04 - .02^2) / 100,000.
  const auto interval = PairedDifferenceInterval(3000, 1000, 100'000);
  const double half = 1.95996 * std::sqrt((0.04 - 0.0004) / 1e5);
  EXPECT_NEAR(interval.low, 0.02 - half, 2e-5);
  EXPECT_NEAR(interval.high, 0.02 + half, 2e-5);
}

TEST(PairedDifferenceInterval, CoversAsOftenAsItSaysWithTwentyFourPairs) {
  // Every outcome, weighted by how probable it is: no chance in this figure.
  constexpr int kPairs = 24;
  const auto factorial = [](int n) { return std::lgamma(n + 1.0); };
  double least = 1.0;
  double sum = 0.0;
  int count = 0;
  for (const double gained : {0.02, 0.1, 0.2, 0.4, 0.6}) {
    for (const double lost : {0.02, 0.05, 0.1, 0.2, 0.35}) {
      double covered = 0.0;
      for (int up = 0; up <= kPairs; ++up) {
        for (int down = 0; up + down <= kPairs; ++down) {
          const int same = kPairs - up - down;
          const double probability = std::exp(
              factorial(kPairs) - factorial(up) - factorial(down) - factorial(same) +
              up * std::log(gained) + down * std::log(lost) + same * std::log(1.0 - gained - lost));
          const auto interval = PairedDifferenceInterval(static_cast<std::uint64_t>(up),
                                                         static_cast<std::uint64_t>(down), kPairs);
          if (interval.low <= gained - lost && gained - lost <= interval.high) {
            covered += probability;
          }
        }
      }
      least = std::min(least, covered);
      sum += covered;
      ++count;
    }
  }
  EXPECT_GT(sum / count, 0.945);
  EXPECT_GT(least, 0.92);
}

}  // namespace
