#include "tinylcm/classify/calibration.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/random.h"

namespace tinylcm::classify {
namespace {

TEST(Calibration, WithoutATableIsTheShare) {
  const Calibration calibration;
  EXPECT_EQ(calibration.Confidence(0.8f, 1000.0f), 0.8f);
}

TEST(Calibration, FallsWithDistanceBeyondTheLimit) {
  const Calibration calibration{.distance_limit = 2.0f};
  EXPECT_EQ(calibration.Confidence(0.8f, 1.0f), 0.8f);
  EXPECT_EQ(calibration.Confidence(0.8f, 2.0f), 0.8f);
  EXPECT_EQ(calibration.Confidence(0.8f, 8.0f), 0.2f);  // 0.8 * 2 / 8.
}

TEST(Calibration, IsLinearBetweenThePointsOfItsTable) {
  const Calibration calibration{.scores = {0.4f, 0.8f}, .confidences = {0.2f, 0.9f}};
  EXPECT_FLOAT_EQ(calibration.Confidence(0.2f, 0.0f), 0.1f);   // Half-way from (0, 0).
  EXPECT_FLOAT_EQ(calibration.Confidence(0.6f, 0.0f), 0.55f);  // Half-way between.
  EXPECT_FLOAT_EQ(calibration.Confidence(1.0f, 0.0f), 0.9f);   // Level beyond the last.
}

// Predictions whose share s is right with probability s * s: the table finds that out.
TEST(FitCalibration, FindsHowOftenAScoreIsRight) {
  const std::uint64_t seed = 1;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  std::vector<CalibrationPoint> points;
  for (int i = 0; i < 20'000; ++i) {
    const double share = random.Uniform(0.3, 1.0);
    points.push_back({static_cast<float>(share), 1.0f, random.Uniform() < share * share});
  }
  const auto calibration = FitCalibration(points);
  ASSERT_TRUE(calibration.ok());
  ASSERT_TRUE(Validate(*calibration).ok());
  for (const float share : {0.4f, 0.5f, 0.6f, 0.7f, 0.8f, 0.9f}) {
    EXPECT_NEAR(calibration->Confidence(share, 1.0f), share * share, 0.06) << share;
  }
}

TEST(FitCalibration, NeverFallsWithTheShareNorRisesWithTheDistance) {
  base::Random random(2);
  std::vector<CalibrationPoint> points;
  for (int i = 0; i < 300; ++i) {
    points.push_back({static_cast<float>(random.Uniform()), static_cast<float>(random.Uniform()),
                      random.Uniform() < 0.5});
  }
  const auto calibration = FitCalibration(points);
  ASSERT_TRUE(calibration.ok());
  for (int i = 0; i < 100; ++i) {
    const float at = 0.01f * static_cast<float>(i);
    EXPECT_LE(calibration->Confidence(at, 0.5f), calibration->Confidence(at + 0.01f, 0.5f));
    EXPECT_GE(calibration->Confidence(0.9f, at), calibration->Confidence(0.9f, at + 0.01f));
  }
}

TEST(FitCalibration, DoesNotCallElevenOfElevenCertain) {
  const std::vector<CalibrationPoint> points(11, {1.0f, 0.5f, true});
  const auto calibration = FitCalibration(points);
  ASSERT_TRUE(calibration.ok());
  EXPECT_FLOAT_EQ(calibration->Confidence(1.0f, 0.5f), 12.0f / 13.0f);
}

TEST(FitCalibration, GivesTheSameTableInWhateverOrder) {
  base::Random random(3);
  std::vector<CalibrationPoint> points;
  for (int i = 0; i < 200; ++i) {
    const double share = random.Uniform();
    points.push_back({static_cast<float>(share), static_cast<float>(random.Uniform()),
                      random.Uniform() < share});
  }
  const auto calibration = FitCalibration(points);
  std::ranges::reverse(points);
  EXPECT_EQ(*FitCalibration(points), *calibration);
}

TEST(FitCalibration, RefusesTooFewPoints) {
  const std::vector<CalibrationPoint> points(9, {1.0f, 0.5f, true});
  EXPECT_EQ(FitCalibration(points).error().code, base::ErrorCode::kInvalidArgument);
}

TEST(Calibration, RefusesATableThatIsNone) {
  EXPECT_TRUE(Validate(Calibration{}).ok());
  EXPECT_FALSE(Validate({.distance_limit = -1.0f}).ok());
  EXPECT_FALSE(Validate({.scores = {0.5f}}).ok());
  EXPECT_FALSE(Validate({.scores = {0.5f}, .confidences = {1.5f}}).ok());
  EXPECT_FALSE(Validate({.scores = {0.5f, 0.4f}, .confidences = {0.5f, 0.6f}}).ok());
  EXPECT_FALSE(Validate({.scores = {0.4f, 0.5f}, .confidences = {0.6f, 0.5f}}).ok());
}

}  // namespace
}  // namespace tinylcm::classify
