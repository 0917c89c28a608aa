#include "tinylcm/drift/detectors/shiryaev_roberts.h"

#include <gtest/gtest.h>

#include <limits>

#include "tinylcm/drift/detectors/monte_carlo.h"

namespace tinylcm::drift {
namespace {

using Side = ShiryaevRoberts::Side;

ShiryaevRoberts Make(const ShiryaevRoberts::Options& options) {
  return ShiryaevRoberts::Create(options).value();
}

// Values until drift, on average over 300 streams whose values, after 100 usual ones, are those of
// `change` (a standard normal number to the changed one).
template <typename Change>
double MeanDelay(const ShiryaevRoberts::Options& options, const Change& change) {
  base::Random random(11);
  double sum = 0.0;
  for (int stream = 0; stream < 300; ++stream) {
    ShiryaevRoberts detector = Make(options);
    for (int i = 0; i < 100; ++i) detector.Observe(random.Normal());
    int delay = 1;
    while (detector.Observe(change(random)) != DriftSignal::kDrift && delay < 5'000) ++delay;
    sum += delay;
  }
  return sum / 300.0;
}

TEST(ShiryaevRoberts, RunsAsLongAsItIsTold) {
  for (const Side side : {Side::kUp, Side::kDown, Side::kBoth}) {
    for (const double run_length : {100.0, 1'000.0}) {
      const RunLengthEstimate wait = EstimateRunLength({.seed = 3, .runs = 2'000}, [&] {
        return [detector =
                    Make({.run_length = run_length, .side = side})](base::Random& random) mutable {
          return detector.Observe(random.Normal()) == DriftSignal::kDrift;
        };
      });
      // 2,000 alarms: +-4.4 % (95 %).
      EXPECT_NEAR(wait.mean / run_length, 1.0, 0.10) << static_cast<int>(side);
    }
  }
}

// At a run length of 10,000 a CUSUM with k = .5, the usual choice, needs 85, 16.5, 6.0 and 3.8
// values (R's spc) and alarms for rises alone.
TEST(ShiryaevRoberts, FindsARiseOfAnySizeWithinAQuarterMoreThanTheUsualCusum) {
  for (const auto& [shift, cusum] :
       {std::pair{0.5, 85.0}, std::pair{1.0, 16.5}, std::pair{2.0, 6.0}, std::pair{3.0, 3.8}}) {
    const auto rise = [shift = shift](base::Random& random) { return random.Normal() + shift; };
    const auto fall = [shift = shift](base::Random& random) { return random.Normal() - shift; };
    EXPECT_LE(MeanDelay({.run_length = 1e4}, rise), 1.25 * cusum) << shift;
    EXPECT_LE(MeanDelay({.run_length = 1e4}, fall), 1.25 * cusum) << -shift;
  }
}

TEST(ShiryaevRoberts, FindsATenthOfTheValuesGoneAstray) {
  const auto some = [](base::Random& random) {
    return random.Normal() + (random.Uniform() < 0.1 ? 3.0 : 0.0);
  };
  // The mean moves by .3 only: a CUSUM made for that needs some 130 values at this run length.
  EXPECT_LE(MeanDelay({.run_length = 1e4}, some), 60.0);
}

TEST(ShiryaevRoberts, FindsASpreadThatChangesUnlessToldOneSide) {
  const auto narrower = [](base::Random& random) { return 0.4 * random.Normal(); };
  EXPECT_LE(MeanDelay({.run_length = 1e4}, narrower), 60.0);
  EXPECT_GE(MeanDelay({.run_length = 1e4, .side = Side::kUp}, narrower), 1'000.0);
}

TEST(ShiryaevRoberts, TakesValuesAsDeviationsFromWhatIsUsual) {
  ShiryaevRoberts plain = Make({.run_length = 1e4});
  ShiryaevRoberts moved = Make({.run_length = 1e4, .mean = 10.0, .sd = 4.0});
  base::Random random(7);
  for (int i = 0; i < 200; ++i) {
    // Multiples of 1/8 go through (10 + 4 z - 10) / 4 unrounded.
    const double z = static_cast<double>(random.Below(33)) / 8.0 - 2.0;
    plain.Observe(z);
    moved.Observe(10.0 + 4.0 * z);
    ASSERT_EQ(plain.statistic(), moved.statistic());
  }
}

TEST(ShiryaevRoberts, StartsAfreshAfterDriftAndShowsWhatWasCompared) {
  ShiryaevRoberts detector = Make({.run_length = 1e4});
  int first = 1;
  while (detector.Observe(3.0) != DriftSignal::kDrift) ++first;
  EXPECT_GE(detector.statistic(), detector.limit());
  int second = 1;
  while (detector.Observe(3.0) != DriftSignal::kDrift) ++second;
  EXPECT_EQ(first, second);
}

TEST(ShiryaevRoberts, SurvivesValuesNoNormalNumberReaches) {
  ShiryaevRoberts detector = Make({.limit = 1e20, .sd = 1e-300});
  for (int i = 0; i < 1'000; ++i) {
    detector.Observe(i % 2 == 0 ? 1e300 : -1e300);
    ASSERT_TRUE(std::isfinite(detector.statistic()));
  }
}

TEST(ShiryaevRoberts, RefusesOptionsThatCannotGiveASignal) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const ShiryaevRoberts::Options wrong[] = {
      {},                                    // Neither a limit nor a run length ...
      {.limit = 50.0, .run_length = 100.0},  // ... or both.
      {.limit = 1.0},
      {.limit = nan},
      {.limit = 1e21},
      {.run_length = 9.0},
      {.run_length = 1e13},
      {.run_length = nan},
      {.run_length = 100.0, .mean = nan},
      {.run_length = 100.0, .sd = 0.0},
      {.run_length = 100.0, .sd = nan},
  };
  for (const ShiryaevRoberts::Options& options : wrong) {
    const auto detector = ShiryaevRoberts::Create(options);
    ASSERT_FALSE(detector.ok());
    EXPECT_EQ(detector.error().code, base::ErrorCode::kInvalidArgument);
  }
}

TEST(ShiryaevRobertsDeathTest, StopsOnAValueIntakeShouldHaveDropped) {
  ShiryaevRoberts detector = Make({.run_length = 100.0});
  EXPECT_DEATH(detector.Observe(std::numeric_limits<double>::infinity()), "isfinite");
}

}  // namespace
}  // namespace tinylcm::drift
