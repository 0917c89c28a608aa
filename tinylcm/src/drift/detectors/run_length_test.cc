#include "tinylcm/drift/detectors/run_length.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <string>
#include <utility>

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

double Of(const base::Json& vector, const char* field) { return vector.Find(field)->as_double(); }

// Every row: the figures of R's package spc (and Shewhart's closed form), to six digits.
TEST(RunLength, AgreesWithEveryRowOfSpcToSixDigits) {
  std::map<std::string, int> rows;
  const base::Json vectors = Vectors();
  for (const base::Json& vector : vectors.as_array()) {
    const std::string chart = vector.Find("chart")->as_string();
    SCOPED_TRACE(vector.Write());
    rows[chart] += 1;
    const bool two_sided = chart.find("two_sided") != std::string::npos;
    base::Result<double> found = base::Error{base::ErrorCode::kInternal, "no such chart"};
    if (chart == "cusum_one_sided" || chart == "cusum_two_sided") {
      found = CusumRunLength({.k = Of(vector, "k"),
                              .h = Of(vector, "h"),
                              .mean = Of(vector, "mu"),
                              .two_sided = two_sided});
    } else if (chart == "cusum_one_sided_limit" || chart == "cusum_two_sided_limit") {
      found = CusumLimit(
          {.k = Of(vector, "k"), .run_length = Of(vector, "arl"), .two_sided = two_sided});
    } else if (chart == "ewma_two_sided") {
      found = EwmaRunLength(
          {.lambda = Of(vector, "lambda_"), .limit = Of(vector, "L"), .mean = Of(vector, "mu")});
    } else if (chart == "ewma_two_sided_limit") {
      found = EwmaLimit({.lambda = Of(vector, "lambda_"), .run_length = Of(vector, "arl")});
    } else if (chart == "shewhart_two_sided") {
      found = ShewhartRunLength({.limit = Of(vector, "L"), .mean = Of(vector, "mu")});
    }
    ASSERT_TRUE(found.ok()) << found.error().message;
    const double value = Of(vector, "value");
    EXPECT_NEAR(*found, value, 1e-6 * value);
  }
  const std::map<std::string, int> expected = {
      {"cusum_one_sided", 84},       {"cusum_two_sided", 84},       {"ewma_two_sided", 35},
      {"cusum_one_sided_limit", 18}, {"cusum_two_sided_limit", 18}, {"ewma_two_sided_limit", 18},
      {"shewhart_two_sided", 30}};
  EXPECT_EQ(rows, expected);
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

// Both sides cannot be past their limits at once, so where alarms are rare the rates add up; one
// side's Z may sink lower than the other's limit allows, which costs less than 2 % here.
TEST(RunLength, OfATwoSidedEwmaIsAboutHalfThatOfOneSide) {
  const double one = EwmaRunLength({.limit = 3.0, .two_sided = false}).value();
  const double two = EwmaRunLength({.limit = 3.0, .two_sided = true}).value();
  EXPECT_NEAR(two, one / 2.0, 0.02 * two);
}

TEST(RunLength, OfAnEwmaThatForgetsEverythingIsShewharts) {
  for (const double mean : {0.0, 1.0}) {
    const double ewma = EwmaRunLength({.lambda = 1.0, .limit = 3.0, .mean = mean}).value();
    const double shewhart = ShewhartRunLength({.limit = 3.0, .mean = mean}).value();
    EXPECT_NEAR(ewma, shewhart, 1e-9 * shewhart);
  }
}

TEST(RunLength, OfAOneSidedEwmaIsWhatOneDoes) {
  const std::uint64_t seed = 11;
  SCOPED_TRACE(seed);
  const double exact =
      EwmaRunLength({.lambda = 0.2, .limit = 2.0, .mean = 0.5, .two_sided = false}).value();
  const double height = 2.0 * std::sqrt(0.2 / 1.8);
  const RunLengthEstimate tried = EstimateRunLength({.seed = seed, .runs = 20'000}, [height] {
    return [height, z = 0.0](base::Random& random) mutable {
      z += 0.2 * (0.5 + random.Normal() - z);
      return z > height;
    };
  });
  EXPECT_LT(tried.low, exact);
  EXPECT_GT(tried.high, exact);
}

TEST(RunLength, LimitsOfAllChartsUndoTheirRunLengths) {
  for (const double wanted : {10.0, 370.0, 1e4, 1e6, 1e9}) {
    for (const bool two_sided : {false, true}) {
      const double shewhart = ShewhartLimit({wanted, two_sided}).value();
      EXPECT_NEAR(ShewhartRunLength({.limit = shewhart, .two_sided = two_sided}).value(), wanted,
                  1e-9 * wanted);
      // A lambda of 0.01 needs 70 values to get anywhere.
      for (const double lambda : {wanted > 100.0 ? 0.01 : 0.4, 0.2, 1.0}) {
        const auto limit =
            EwmaLimit({.lambda = lambda, .run_length = wanted, .two_sided = two_sided});
        ASSERT_TRUE(limit.ok()) << limit.error().message;
        const double back =
            EwmaRunLength({.lambda = lambda, .limit = *limit, .two_sided = two_sided}).value();
        EXPECT_NEAR(back, wanted, 1e-6 * wanted) << lambda;
      }
    }
  }
}

// Without forgetting: the bounds of the equation against the chart as it is written.
TEST(RunLength, OfPageHinkleyLiesBetweenItsBounds) {
  const std::uint64_t seed = 5;
  SCOPED_TRACE(seed);
  for (const bool two_sided : {false, true}) {
    for (const std::uint64_t min_instances : {1u, 30u}) {
      const PageHinkleyChart chart{.delta = 0.25,
                                   .lambda = 5.0,
                                   .alpha = 1.0,
                                   .min_instances = min_instances,
                                   .two_sided = two_sided};
      const RunLengthEstimate exact = PageHinkleyRunLength(chart).value();
      EXPECT_EQ(exact.alarms, 0u);
      EXPECT_LE(exact.low, exact.high);
      // On two sides the bounds lie apart while alarms are as frequent as once in 80.
      EXPECT_LT(exact.high / exact.low, two_sided ? 1.15 : 1.001);
      // The same one a little forgetful is tried; 1e-12 a value forgets nothing in some hundred.
      PageHinkleyChart forgets = chart;
      forgets.alpha = 1.0 - 1e-12;
      const RunLengthEstimate tried =
          PageHinkleyRunLength(forgets, {.seed = seed, .runs = 20'000}).value();
      EXPECT_EQ(tried.alarms, 20'000u);
      // Twice the 95 % interval: 4 deviations.
      EXPECT_LT(tried.low / (tried.high / tried.mean), exact.high) << exact.low;
      EXPECT_GT(tried.high / (tried.low / tried.mean), exact.low) << exact.high;
    }
  }
}

// The running mean takes part of every deviation away, so it runs longer than a CUSUM that knows
// the mean, and by less the later the alarm.
TEST(RunLength, OfPageHinkleyApproachesACusums) {
  for (const auto& [lambda, within] : {std::pair{3.0, 0.2}, std::pair{10.0, 0.006}}) {
    const double cusum = CusumRunLength({.k = 0.5, .h = lambda}).value();
    const RunLengthEstimate found =
        PageHinkleyRunLength({.delta = 0.5, .lambda = lambda, .alpha = 1.0, .min_instances = 1})
            .value();
    EXPECT_GT(found.low, cusum);
    EXPECT_LT(found.high, (1.0 + within) * cusum);
  }
}

TEST(RunLength, FindsThePageHinkleyLambdaOfATarget) {
  const PageHinkleyChart plain{.delta = 0.1, .alpha = 1.0};
  const SolvedLimit solved = PageHinkleyLimit(plain, 1'000.0).value();
  EXPECT_NEAR(solved.run_length.mean, 1'000.0, 0.01);

  const PageHinkleyChart forgetful{.delta = 0.1, .alpha = 0.999, .two_sided = true};
  const MonteCarlo work{.seed = 3, .runs = 1'000};
  const SolvedLimit tried = PageHinkleyLimit(forgetful, 500.0, work).value();
  EXPECT_LE(tried.run_length.low, 500.0);
  EXPECT_GE(tried.run_length.high, 500.0);
  // Runs it was not solved from: 1,000 of each, so 4.5 % apart in one deviation of three.
  PageHinkleyChart at = forgetful;
  at.lambda = tried.limit;
  EXPECT_NEAR(PageHinkleyRunLength(at, {.seed = 4}).value().mean, 500.0, 0.15 * 500.0);
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

TEST(RunLength, NamesTheFieldThatIsWrong) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const auto expect = [](const auto& result, const char* field) {
    ASSERT_FALSE(result.ok()) << field;
    EXPECT_EQ(result.error().code, base::ErrorCode::kInvalidArgument);
    EXPECT_NE(result.error().message.find(field), std::string::npos) << result.error().message;
  };
  expect(EwmaRunLength({.lambda = 0.0}), "lambda");
  expect(EwmaRunLength({.lambda = nan}), "lambda");
  expect(EwmaRunLength({.limit = -1.0}), "limit");
  expect(EwmaRunLength({.mean = nan}), "mean");
  expect(EwmaLimit({.lambda = 1.1}), "lambda");
  expect(EwmaLimit({.run_length = 1.0}), "run_length");
  expect(ShewhartRunLength({.limit = 0.0}), "limit");
  expect(ShewhartRunLength({.mean = nan}), "mean");
  expect(ShewhartLimit({.run_length = nan}), "run_length");
  expect(PageHinkleyRunLength({.delta = -1.0}), "delta");
  expect(PageHinkleyRunLength({.lambda = 0.0}), "lambda");
  expect(PageHinkleyRunLength({.lambda = 500.0, .alpha = 1.0}), "lambda");
  expect(PageHinkleyRunLength({.alpha = 1.1}), "alpha");
  expect(PageHinkleyRunLength({.min_instances = 1'001}), "min_instances");
  expect(PageHinkleyLimit({}, nan), "run_length");
}

TEST(RunLength, SaysSoWhereAChartPracticallyNeverAlarms) {
  EXPECT_EQ(EwmaRunLength({.limit = 20.0}).error().code, base::ErrorCode::kUnsupported);
  EXPECT_EQ(ShewhartRunLength({.limit = 20.0}).error().code, base::ErrorCode::kUnsupported);
  EXPECT_EQ(PageHinkleyLimit({}, 1e7, {.values = 1'000'000}).error().code,
            base::ErrorCode::kUnsupported);

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
