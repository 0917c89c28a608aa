#include "tinylcm/drift/detectors/run_length.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/file_system.h"
#include "base/json.h"
#include "base/random.h"
#include "tinylcm/drift/detectors/cusum.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

base::Json Vectors() {
  const auto text = base::ReadTextFile(base::SystemFileSystem(), "data/vectors/arl.json", 1u << 20);
  EXPECT_TRUE(text.ok()) << text.error().message;
  auto json = base::Json::Parse(*text);
  EXPECT_TRUE(json.ok()) << json.error().message;
  return std::move(json).value();
}

// The figures of R's package spc, to six digits: 168 run lengths and 36 limits.
TEST(RunLength, AgreesWithSpcToSixDigits) {
  int charts = 0;
  int limits = 0;
  const base::Json vectors = Vectors();
  for (const base::Json& vector : vectors.as_array()) {
    const std::string chart = vector.Find("chart")->as_string();
    const double value = vector.Find("value")->as_double();
    const bool two_sided = chart.starts_with("cusum_two_sided");
    if (chart == "cusum_one_sided" || chart == "cusum_two_sided") {
      const auto run_length = CusumRunLength({.k = vector.Find("k")->as_double(),
                                              .h = vector.Find("h")->as_double(),
                                              .mean = vector.Find("mu")->as_double(),
                                              .two_sided = two_sided});
      ASSERT_TRUE(run_length.ok()) << vector.Write() << run_length.error().message;
      EXPECT_NEAR(*run_length, value, 1e-6 * value) << vector.Write();
      charts += 1;
    } else if (chart == "cusum_one_sided_limit" || chart == "cusum_two_sided_limit") {
      const auto limit = CusumLimit({.k = vector.Find("k")->as_double(),
                                     .run_length = vector.Find("arl")->as_double(),
                                     .two_sided = two_sided});
      ASSERT_TRUE(limit.ok()) << vector.Write() << limit.error().message;
      EXPECT_NEAR(*limit, value, 1e-6 * value) << vector.Write();
      limits += 1;
    }
  }
  EXPECT_EQ(charts, 168);
  EXPECT_EQ(limits, 36);
}

// With next to no room the chart alarms at the first value above k + h, or after a value between k
// and k + h helped: a geometric wait, 1 / P(Z > k) in the limit.
TEST(RunLength, WithoutRoomIsTheWaitForOneValueAboveTheAllowance) {
  const auto run_length = CusumRunLength({.k = 1.0, .h = 1e-9});
  ASSERT_TRUE(run_length.ok());
  EXPECT_NEAR(*run_length, 1.0 / (1.0 - NormalProbability(1.0)), 1e-6);
}

TEST(RunLength, OfTwoSidesIsHalfThatOfOneWhileNothingHappens) {
  const auto one = CusumRunLength({.k = 0.5, .h = 5.0});
  const auto two = CusumRunLength({.k = 0.5, .h = 5.0, .two_sided = true});
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_NEAR(*two, *one / 2.0, 1e-9 * *one);
}

TEST(RunLength, LimitAndRunLengthUndoEachOther) {
  for (const double wanted : {2.5, 100.0, 1e4, 1e6, 1e9}) {
    for (const double k : {0.1, 0.5, 1.0}) {
      const auto limit = CusumLimit({.k = k, .run_length = wanted});
      if (!limit.ok()) {
        // With a large allowance the first alarm is already later than that.
        EXPECT_LT(wanted, 1.0 / (1.0 - NormalProbability(k))) << k;
        continue;
      }
      const auto run_length = CusumRunLength({.k = k, .h = *limit});
      ASSERT_TRUE(run_length.ok());
      EXPECT_NEAR(*run_length, wanted, 1e-6 * wanted) << k;
    }
  }
}

// The equation against the chart it speaks of: 400 runs, so a standard error of 5 %.
TEST(RunLength, IsWhatACusumDoesOnNormalValues) {
  const std::uint64_t seed = 7;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  Cusum cusum = Cusum::Create({.run_length = 200.0}).value();
  double values = 0.0;
  for (int alarms = 0; alarms < 400;) {
    values += 1.0;
    if (cusum.Observe(random.Normal()) == DriftSignal::kDrift) alarms += 1;
  }
  EXPECT_NEAR(values / 400.0, 200.0, 0.15 * 200.0);
}

TEST(RunLength, RefusesChartsThatDoNotExist) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const CusumChart wrong[] = {{.k = -0.1}, {.k = nan},   {.h = 0.0},
                              {.h = nan},  {.h = 101.0}, {.mean = nan}};
  for (const CusumChart& chart : wrong) {
    const auto run_length = CusumRunLength(chart);
    ASSERT_FALSE(run_length.ok());
    EXPECT_EQ(run_length.error().code, base::ErrorCode::kInvalidArgument);
  }
}

TEST(RunLength, SaysSoWhereAChartPracticallyNeverAlarms) {
  const auto run_length = CusumRunLength({.k = 1.0, .h = 50.0});  // About e^100.
  ASSERT_FALSE(run_length.ok());
  EXPECT_EQ(run_length.error().code, base::ErrorCode::kUnsupported);
}

TEST(RunLength, RefusesTargetsNoLimitReaches) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const CusumTarget wrong[] = {{.k = 0.0},
                               {.k = nan},
                               {.run_length = 1.0},
                               {.run_length = nan},
                               {.run_length = 1e11},
                               {.k = 3.0, .run_length = 100.0},   // P(Z > 3) = 1 / 741 already.
                               {.k = 0.001, .run_length = 1e9}};  // A limit above 100.
  for (const CusumTarget& target : wrong) {
    const auto limit = CusumLimit(target);
    ASSERT_FALSE(limit.ok()) << target.k << " " << target.run_length;
    EXPECT_EQ(limit.error().code, base::ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace tinylcm::drift
