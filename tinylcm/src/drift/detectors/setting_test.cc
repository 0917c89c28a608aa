#include "tinylcm/drift/detectors/setting.h"

#include <gtest/gtest.h>

#include <string>

#include "tinylcm/drift/detectors/run_length.h"

namespace tinylcm::drift {
namespace {

// Little enough to be quick; the interval says how little.
constexpr MonteCarlo kLittle{.seed = 20261121, .runs = 200, .values = 400'000};

TEST(Setting, OfACusumIsExact) {
  const auto setting = Describe("cusum", {{"h", "5"}}, std::nullopt);
  ASSERT_TRUE(setting.ok()) << setting.error().message;
  EXPECT_EQ(setting->limit_name, "h");
  EXPECT_EQ(setting->limit, 5.0);
  EXPECT_TRUE(setting->is_exact);
  EXPECT_NEAR(setting->run_length.mean, 930.887, 1e-3);  // spc: xcusum.arl(.5, 5, 0).
  EXPECT_NEAR(Describe("cusum", {{"h", "5"}, {"mode", "both"}}, std::nullopt)->run_length.mean,
              465.4435, 1e-3);
}

TEST(Setting, ForATargetIsTheLimitOfTheEquation) {
  const auto cusum = Describe("cusum", {}, 1e5);
  ASSERT_TRUE(cusum.ok());
  EXPECT_NEAR(cusum->limit, 9.6617, 1e-4);  // spc: xcusum.crit(.5, 1e5).
  EXPECT_NEAR(cusum->run_length.mean, 1e5, 0.1);
  const auto ewma = Describe("ewma", {{"lambda", "0.05"}}, 1e4);
  ASSERT_TRUE(ewma.ok());
  EXPECT_NEAR(ewma->limit, 3.627258, 1e-5);  // spc: xewma.crit(.05, 1e4, two).
}

TEST(Setting, WithoutAnythingIsTheUsualRunLength) {
  const auto setting = Describe("cusum", {}, std::nullopt);
  ASSERT_TRUE(setting.ok());
  EXPECT_NEAR(setting->run_length.mean, kUsualRunLength, 0.01);
}

TEST(Setting, OfPageHinkleyThatForgetsNothingLiesBetweenBounds) {
  const auto setting =
      Describe("page_hinkley", {{"alpha", "1"}, {"delta", "0.5"}, {"threshold", "10"}, {"sd", "2"}},
               std::nullopt);
  ASSERT_TRUE(setting.ok()) << setting.error().message;
  EXPECT_TRUE(setting->is_exact);
  const auto chart = PageHinkleyRunLength(
      {.delta = 0.25, .lambda = 5.0, .alpha = 1.0, .min_instances = 30, .two_sided = true});
  EXPECT_EQ(setting->run_length.low, chart->low);
  EXPECT_EQ(setting->run_length.high, chart->high);
}

TEST(Setting, WithoutAnEquationIsTriedAndSaysHowWellItIsKnown) {
  const auto setting = Describe("adwin", {{"delta", "0.5"}}, std::nullopt, kLittle);
  ASSERT_TRUE(setting.ok()) << setting.error().message;
  EXPECT_EQ(setting->limit_name, "delta");
  EXPECT_EQ(setting->limit, 0.5);
  EXPECT_FALSE(setting->is_exact);
  EXPECT_LT(setting->run_length.low, setting->run_length.mean);
  EXPECT_GT(setting->run_length.high, setting->run_length.mean);
}

// What every detector says of the run length it was made for: 200 alarms or 400,000 values know it
// to some 15 %, the tables to some 10 %.
TEST(Setting, OfEveryDetectorKeepsTheRunLengthItWasMadeFor) {
  for (const DetectorKind& kind : DetectorKinds()) {
    const auto setting = Describe(kind.name, {}, 1'000.0, kLittle);
    ASSERT_TRUE(setting.ok()) << kind.name << ": " << setting.error().message;
    EXPECT_FALSE(setting->limit_name.empty()) << kind.name;
    EXPECT_LT(setting->run_length.low, 1.15 * 1'000.0) << kind.name;
    EXPECT_GT(setting->run_length.high, 1'000.0 / 1.15) << kind.name;
    // And the limit it names is one that can be given back.
    const auto again = MakeDetector(
        kind.name, {{setting->limit_name, std::to_string(setting->limit)}}, std::nullopt);
    EXPECT_TRUE(again.ok()) << kind.name << ": " << again.error().message;
  }
}

TEST(Setting, RefusesWhatMakeDetectorRefuses) {
  EXPECT_EQ(Describe("crystal_ball", {}, std::nullopt).error().code, base::ErrorCode::kNotFound);
  EXPECT_EQ(Describe("cusum", {{"h", "5"}}, 1'000.0).error().code,
            base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(Describe("cusum", {{"h", "50"}, {"k", "1"}}, std::nullopt).error().code,
            base::ErrorCode::kUnsupported);  // About e^100.
}

}  // namespace
}  // namespace tinylcm::drift
