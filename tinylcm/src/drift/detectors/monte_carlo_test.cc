#include "tinylcm/drift/detectors/monte_carlo.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tinylcm/drift/detectors/cusum.h"
#include "tinylcm/drift/detectors/run_length.h"

namespace tinylcm::drift {
namespace {

constexpr std::uint64_t kSeed = 20261121;

// Alarms with probability p at each value: a mean wait of 1 / p.
auto Coin(double p) {
  return [p] { return [p](base::Random& random) { return random.Uniform() < p; }; };
}

auto CusumOf(double h) {
  return [h] {
    return [cusum = Cusum::Create({.h = h}).value()](base::Random& random) mutable {
      return cusum.Observe(random.Normal()) == DriftSignal::kDrift;
    };
  };
}

// A one-sided CUSUM's statistic, without a limit.
auto Ratchet() {
  return [] {
    return [height = 0.0](base::Random& random) mutable {
      height = std::max(0.0, height + random.Normal() - 0.5);
      return height;
    };
  };
}

TEST(MonteCarlo, FindsTheMeanWaitForACoin) {
  SCOPED_TRACE(kSeed);
  // 4,000 waits of mean and deviation 50: +-50 / sqrt(4000) = 0.8; four of those.
  const RunLengthEstimate wait = EstimateRunLength({.seed = kSeed, .runs = 4'000}, Coin(0.02));
  EXPECT_TRUE(wait.complete);
  EXPECT_EQ(wait.alarms, 4'000u);
  EXPECT_NEAR(wait.mean, 50.0, 3.2);
  EXPECT_NEAR(wait.high - wait.low, 2 * 1.96 * 0.79, 0.2);
}

TEST(MonteCarlo, TheIntervalHoldsTheTruthNineteenTimesInTwenty) {
  int held = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    const RunLengthEstimate wait = EstimateRunLength({.seed = seed, .runs = 100}, Coin(0.1));
    held += wait.low <= 10.0 && 10.0 <= wait.high;
  }
  // 380 expected, sqrt(400 * .95 * .05) = 4.4; four of those.
  EXPECT_GE(held, 362);
  EXPECT_LT(held, 398);
}

TEST(MonteCarlo, AgreesWithTheEquationOfACusum) {
  SCOPED_TRACE(kSeed);
  const double exact = CusumRunLength({.k = 0.5, .h = 3.0}).value();  // 117.6
  const RunLengthEstimate wait = EstimateRunLength({.seed = kSeed, .runs = 3'000}, CusumOf(3.0));
  EXPECT_LT(wait.low, exact);
  EXPECT_GT(wait.high, exact);
}

TEST(MonteCarlo, SameSeedSameEstimate) {
  const RunLengthEstimate one = EstimateRunLength({.seed = 3, .runs = 50}, Coin(0.1));
  const RunLengthEstimate two = EstimateRunLength({.seed = 3, .runs = 50}, Coin(0.1));
  EXPECT_EQ(one.values, two.values);
  EXPECT_NE(one.values, EstimateRunLength({.seed = 4, .runs = 50}, Coin(0.1)).values);
}

TEST(MonteCarlo, StopsWhenTheWorkRunsOut) {
  const RunLengthEstimate wait =
      EstimateRunLength({.seed = kSeed, .runs = 1'000, .values = 5'000}, Coin(0.02));
  EXPECT_FALSE(wait.complete);
  EXPECT_EQ(wait.values, 5'000u);
  // 5,000 values hold 100 alarms or so: 1.96 * 50 / 10 either way.
  EXPECT_LT(wait.low, 50.0);
  EXPECT_GT(wait.high, 50.0);
}

TEST(MonteCarlo, SaysWhatSilenceProves) {
  const RunLengthEstimate wait =
      EstimateRunLength({.seed = kSeed, .runs = 10, .values = 1'000}, Coin(0.0));
  EXPECT_EQ(wait.alarms, 0u);
  EXPECT_TRUE(std::isinf(wait.mean) && std::isinf(wait.high));
  EXPECT_NEAR(wait.low, 1'000.0 / 3.689, 0.1);  // exp(-3.689) = 1 / 40
}

TEST(MonteCarlo, SolvesALimitInOneSweep) {
  SCOPED_TRACE(kSeed);
  const auto solved = SolveLimit({.seed = kSeed, .runs = 2'000}, 200.0, Ratchet());
  ASSERT_TRUE(solved.ok()) << solved.error().message;
  // The run length grows by e every unit of h (2 k = 1): 2,000 runs know it to 1 / sqrt(2000) = 2.2
  // %, so h to 0.022; four of those.
  EXPECT_NEAR(solved->limit, CusumLimit({.k = 0.5, .run_length = 200.0}).value(), 0.09);
  EXPECT_GE(solved->run_length.mean, 200.0);
  EXPECT_LT(solved->run_length.mean, 202.0);
}

TEST(MonteCarlo, SolvesALimitByBisection) {
  SCOPED_TRACE(kSeed);
  const auto solved = SearchLimit(
      {.run_length = 200.0, .low = 0.5, .high = 20.0, .work = {.seed = kSeed, .runs = 2'000}},
      [](double limit, const MonteCarlo& work) { return EstimateRunLength(work, CusumOf(limit)); });
  ASSERT_TRUE(solved.ok()) << solved.error().message;
  EXPECT_NEAR(solved->limit, CusumLimit({.k = 0.5, .run_length = 200.0}).value(), 0.11);
}

TEST(MonteCarlo, SolvesALimitThatShortensTheRunAsItRises) {
  SCOPED_TRACE(kSeed);
  const auto solved = SearchLimit(
      {.run_length = 50.0, .low = 1e-6, .high = 0.9, .falling = true, .work = {.seed = kSeed}},
      [](double p, const MonteCarlo& work) { return EstimateRunLength(work, Coin(p)); });
  ASSERT_TRUE(solved.ok()) << solved.error().message;
  EXPECT_NEAR(solved->limit, 0.02, 0.003);  // 1,000 runs: 3.2 %, and 2 % tolerance; four times.
}

TEST(MonteCarlo, RefusesWhatCannotBeSearched) {
  const auto never = [](double, const MonteCarlo& work) {
    return EstimateRunLength(work, Coin(0.5));  // Two values, whatever the limit.
  };
  const auto code = [&](const LimitSearch& search) {
    const auto solved = SearchLimit(search, never);
    EXPECT_FALSE(solved.ok());
    return solved.ok() ? base::ErrorCode::kInternal : solved.error().code;
  };
  using base::ErrorCode;
  EXPECT_EQ(code({.low = 0.0, .high = 1.0}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.low = 2.0, .high = 1.0}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.run_length = 1.0, .low = 0.1, .high = 1.0}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.run_length = 100.0, .low = 0.1, .high = 1.0}), ErrorCode::kUnsupported);
  // Not one probe's values alone are bounded, but those of all together.
  std::uint64_t looked_at = 0;
  const auto searched = SearchLimit({.run_length = 1'000.0,
                                     .low = 1e-6,
                                     .high = 0.9,
                                     .falling = true,
                                     .work = {.seed = kSeed, .values = 1'000'000}},
                                    [&](double p, const MonteCarlo& work) {
                                      const RunLengthEstimate found =
                                          EstimateRunLength(work, Coin(p));
                                      looked_at += found.values;
                                      return found;
                                    });
  ASSERT_FALSE(searched.ok());
  EXPECT_EQ(searched.error().code, ErrorCode::kUnsupported);
  EXPECT_EQ(looked_at, 1'000'000u);
  EXPECT_EQ(SolveLimit({}, 1.0, Ratchet()).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(SolveLimit({.values = 1'000}, 500.0, Ratchet()).error().code, ErrorCode::kUnsupported);
}

}  // namespace
}  // namespace tinylcm::drift
