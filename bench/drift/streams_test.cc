// A benchmark is as good as its streams: each has the law, the order and the memory it says.

#include "bench/drift/streams.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

namespace {

using bench::drift::Digits;
using bench::drift::Law;
using bench::drift::Stream;
using bench::drift::World;
using tinylcm::drift::Sample;
using tinylcm::drift::Signal;

constexpr std::uint64_t kSeed = 7;

std::vector<double> Values(const World& world, std::size_t count, double shift = 0.0,
                           Signal signal = Signal::kAnchorDistance) {
  Stream stream(world, kSeed);
  std::vector<double> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back(static_cast<double>(stream.Next(shift).values[At(signal)]));
  }
  return values;
}

double Mean(const std::vector<double>& values) {
  double sum = 0.0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

double Correlation(const std::vector<double>& a, const std::vector<double>& b) {
  const double mean_a = Mean(a), mean_b = Mean(b);
  double both = 0.0, only_a = 0.0, only_b = 0.0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    both += (a[i] - mean_a) * (b[i] - mean_b);
    only_a += (a[i] - mean_a) * (a[i] - mean_a);
    only_b += (b[i] - mean_b) * (b[i] - mean_b);
  }
  return both / std::sqrt(only_a * only_b);
}

// With 20,000 values a mean of deviation 1 is known to .007, a correlation too.
constexpr std::size_t kCount = 20'000;
constexpr double kError = 0.025;

TEST(Stream, IsTheSameForTheSameSeed) {
  const World world = {.law = Law::kStudent3, .classes = 10, .blocks = true, .signals = 4};
  EXPECT_EQ(Values(world, 1000), Values(world, 1000));
}

TEST(Stream, HasTheLawItSays) {
  const std::vector<double> normal = Values({.law = Law::kNormal}, kCount);
  EXPECT_NEAR(Mean(normal), 0.0, kError);
  std::vector<double> log_normal = Values({.law = Law::kLogNormal}, kCount);
  std::sort(log_normal.begin(), log_normal.end());
  EXPECT_NEAR(log_normal[kCount / 2], 1.0, kError);
  // The 97.5 % point is exp(.5 x 1.96) = 2.66; Student's with 3 degrees of freedom 3.18.
  EXPECT_NEAR(log_normal[kCount * 975 / 1000], 2.66, 0.1);
  std::vector<double> t3 = Values({.law = Law::kStudent3}, kCount);
  std::sort(t3.begin(), t3.end());
  EXPECT_NEAR(t3[kCount / 2], 0.0, kError);
  EXPECT_NEAR(t3[kCount * 975 / 1000], 3.18, 0.15);
}

TEST(Stream, HasSixLevelsWithTheirShares) {
  std::map<float, int> seen;
  for (const double value : Values({.law = Law::kSixLevels}, kCount)) {
    ++seen[static_cast<float>(value)];
  }
  const double shares[] = {0.04, 0.12, 0.24, 0.30, 0.20, 0.10};
  ASSERT_EQ(seen.size(), 6u);
  std::size_t i = 0;
  for (const auto& [value, count] : seen) {
    EXPECT_FLOAT_EQ(value, static_cast<float>(i) / 5.0f);
    EXPECT_NEAR(static_cast<double>(count) / kCount, shares[i++], 0.01);
  }
}

TEST(Stream, RisesByTheDeviationsItIsTold) {
  EXPECT_NEAR(Mean(Values({.law = Law::kNormal}, kCount, 2.0)), 2.0, kError);
  // Of the logarithm, whose deviation is .5.
  std::vector<double> risen = Values({.law = Law::kLogNormal}, kCount, 2.0);
  std::sort(risen.begin(), risen.end());
  EXPECT_NEAR(risen[kCount / 2], std::exp(1.0), 0.07);
}

TEST(Stream, RemembersTheOneBeforeAndKeepsItsSpread) {
  for (const double rho : {0.5, 0.9}) {
    const std::vector<double> values = Values({.law = Law::kNormal, .correlation = rho}, kCount);
    const std::vector<double> before(values.begin(), values.end() - 1);
    const std::vector<double> after(values.begin() + 1, values.end());
    EXPECT_NEAR(Correlation(before, after), rho, kError);
    double squares = 0.0;
    for (const double value : values) squares += value * value;
    // Its error is some sqrt((1 + rho^2) / (1 - rho^2)) times that of independent values.
    EXPECT_NEAR(squares / kCount, 1.0, 0.1);
  }
}

TEST(Stream, TiesItsSignalsTogether) {
  for (const double together : {0.0, 0.8}) {
    const World world = {.law = Law::kNormal, .signals = 4, .together = together};
    EXPECT_NEAR(
        Correlation(Values(world, kCount), Values(world, kCount, 0.0, Signal::kCentroidDistance)),
        together, kError);
  }
}

TEST(Stream, ComesInSpellsOfTwoClasses) {
  Stream stream({.classes = 10, .blocks = true}, kSeed);
  std::set<std::uint16_t> all;
  for (int spell = 0; spell < 50; ++spell) {
    std::set<std::uint16_t> seen;
    for (int i = 0; i < 200; ++i) seen.insert(stream.Next().predicted);
    EXPECT_EQ(seen.size(), 2u);
    all.insert(seen.begin(), seen.end());
  }
  EXPECT_EQ(all.size(), 10u);
}

TEST(Digits, AreFurtherFromTheAnchorsWhenTheyChange) {
  Digits digits(kSeed, false);
  const auto mean = [&](Digits::Change change) {
    double sum = 0.0;
    for (int i = 0; i < 500; ++i) {
      sum += static_cast<double>(digits.Next(change).values[At(Signal::kAnchorDistance)]);
    }
    return sum / 500.0;
  };
  const double calm = mean(Digits::Change::kNone);
  for (const auto change : {Digits::Change::kNoise, Digits::Change::kDimming,
                            Digits::Change::kRotation, Digits::Change::kInverted}) {
    EXPECT_GT(mean(change), 1.1 * calm) << Digits::Name(change);
  }
}

}  // namespace
