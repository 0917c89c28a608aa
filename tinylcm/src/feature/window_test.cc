#include "tinylcm/feature/window.h"

#include <gtest/gtest.h>

#include <cmath>
#include <numbers>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/support/allocations.h"

namespace tinylcm::feature {
namespace {

using protocol::BundleWindow;

const std::vector<std::string> kAll = {"mean", "deviation", "min", "max", "rms"};

std::vector<float> Last(WindowFeatures& features, const std::vector<float>& signal) {
  for (const float value : signal) features.Observe(std::span(&value, 1));
  return {features.features().begin(), features.features().end()};
}

std::vector<float> Sine(double hertz, double amplitude, double offset, int rows, double rate) {
  std::vector<float> signal;
  for (int i = 0; i < rows; ++i) {
    signal.push_back(static_cast<float>(
        offset + amplitude * std::sin(2.0 * std::numbers::pi * hertz * i / rate)));
  }
  return signal;
}

TEST(WindowFeatures, GivesAVectorWhenTheWindowIsFullAndThenAtEveryStep) {
  auto features = WindowFeatures::Create({.size = 4, .step = 2, .statistics = {"mean"}}, 1).value();
  std::string given;
  for (int i = 0; i < 9; ++i) {
    const auto value = static_cast<float>(i);
    if (!features.Observe(std::span(&value, 1))) continue;
    given += std::to_string(i) + ":" + std::to_string(features.features()[0]).substr(0, 3) + " ";
  }
  // Of rows 0..3 the mean is 1.5; of 2..5, 3.5; of 4..7, 5.5.
  EXPECT_EQ(given, "3:1.5 5:3.5 7:5.5 ");
}

TEST(WindowFeatures, StatisticsOfFourNumbersAreThoseWorkedOutByHand) {
  auto features = WindowFeatures::Create({.size = 4, .step = 4, .statistics = kAll}, 1).value();
  const std::vector<float> found = Last(features, {2, -2, 4, 0});
  EXPECT_FLOAT_EQ(found[0], 1.0f);                  // 4 / 4
  EXPECT_FLOAT_EQ(found[1], std::sqrt(20.0f / 4));  // 1 + 9 + 9 + 1 = 20
  EXPECT_FLOAT_EQ(found[2], -2.0f);
  EXPECT_FLOAT_EQ(found[3], 4.0f);
  EXPECT_FLOAT_EQ(found[4], std::sqrt(24.0f / 4));  // 4 + 4 + 16 + 0 = 24
}

TEST(WindowFeatures, ASineLiesInItsBandAndNowhereElse) {
  // 128 rows at 64 Hz: bins of half a hertz. 5 Hz is one of them; Hann spreads it by one each way.
  auto features =
      WindowFeatures::Create(
          {.size = 128, .step = 128, .sample_rate_hz = 64.0, .bands = {{1, 4}, {4, 6}, {6, 32}}}, 1)
          .value();
  const std::vector<float> found = Last(features, Sine(5.0, 2.0, 100.0, 128, 64.0));
  EXPECT_NEAR(found[0], 0.0, 1e-4);
  EXPECT_NEAR(found[1], 2.0 / std::numbers::sqrt2, 1e-4);  // A sine's rms, without the offset.
  EXPECT_NEAR(found[2], 0.0, 1e-4);
}

TEST(WindowFeatures, TheBandsTogetherHoldTheDeviationOfNoise) {
  base::Random random(7);
  std::vector<float> noise;
  for (int i = 0; i < 4096; ++i) noise.push_back(static_cast<float>(random.Below(1000)));
  auto features = WindowFeatures::Create({.size = 4096,
                                          .step = 4096,
                                          .sample_rate_hz = 10.0,
                                          .statistics = {"deviation"},
                                          .bands = {{0, 2}, {2, 5}}},
                                         1)
                      .value();
  const std::vector<float> found = Last(features, noise);
  const double bands = std::hypot(found[1], found[2]);
  EXPECT_NEAR(bands / found[0], 1.0, 0.03);  // Hann weighs the middle of the window more.
  EXPECT_NEAR(found[1] / bands, std::sqrt(2.0 / 5.0), 0.03);  // White: a share of the width.
}

TEST(WindowFeatures, ChannelsDoNotMixAndAreNamedInTheOrderOfTheirFeatures) {
  const BundleWindow window{.size = 2,
                            .step = 1,
                            .sample_rate_hz = 50.0,
                            .statistics = {"mean", "max"},
                            .bands = {{0.5, 25}}};
  auto features = WindowFeatures::Create(window, 2).value();
  const float rows[][2] = {{1, 10}, {3, 30}};
  EXPECT_FALSE(features.Observe(rows[0]));
  EXPECT_TRUE(features.Observe(rows[1]));
  ASSERT_EQ(features.feature_count(), 6u);
  EXPECT_EQ(features.features()[0], 2.0f);
  EXPECT_EQ(features.features()[1], 3.0f);
  EXPECT_EQ(features.features()[3], 20.0f);
  EXPECT_EQ(features.features()[4], 30.0f);
  EXPECT_EQ(WindowFeatureNames(window, std::vector<std::string>{"x", "y"}),
            (std::vector<std::string>{"x.mean", "x.max", "x.band_0.5_25", "y.mean", "y.max",
                                      "y.band_0.5_25"}));
}

TEST(WindowFeatures, AWindowsLabelIsThatOfMostOfItsRowsAndOfTiesTheLast) {
  auto features = WindowFeatures::Create({.size = 4, .step = 1, .statistics = {"mean"}}, 1).value();
  const float zero = 0.0f;
  std::string voted;
  for (const char* label : {"a", "a", "b", "b", "c", "c", "c", "", ""}) {
    if (features.Observe(std::span(&zero, 1), label)) voted += features.label() + ",";
  }
  // aabb: b came last. abbc: b. bbcc: c. bccc: c. ccc-: c. cc--: as often none.
  EXPECT_EQ(voted, "b,b,c,c,c,,");
}

TEST(WindowRows, LeavesOutAWindowWithoutALabel) {
  const std::vector<float> rows = {1, 2, 3, 4, 5, 6};
  const std::vector<std::string> labels = {"a", "a", "", "", "b", "b"};
  const auto windows = WindowRows({.size = 2, .step = 2, .statistics = {"mean"}}, 1, rows, labels);
  ASSERT_TRUE(windows.ok());
  EXPECT_EQ(windows->features, (std::vector<float>{1.5f, 5.5f}));
  EXPECT_EQ(windows->labels, (std::vector<std::string>{"a", "b"}));
}

TEST(WindowFeatures, ObservingTakesNoMemory) {
  auto features =
      WindowFeatures::Create(
          {.size = 32, .step = 4, .sample_rate_hz = 10.0, .statistics = kAll, .bands = {{0.5, 5}}},
          3)
          .value();
  const float row[3] = {1, 2, 3};
  for (int i = 0; i < 40; ++i) features.Observe(row, "walking");
  const std::uint64_t before = testing_support::Allocations();
  for (int i = 0; i < 1'000; ++i) features.Observe(row, i % 100 < 50 ? "walking" : "standing");
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

TEST(WindowFeatures, RefusesWhatDoesNotFitAndSaysWhy) {
  const struct {
    BundleWindow window;
    std::string error;
  } cases[] = {
      {{.size = 1, .step = 1, .statistics = kAll}, "window: size 1 is outside 2..65536"},
      {{.size = 8, .step = 9, .statistics = kAll}, "window: step 9 is outside 1..8"},
      {{.size = 8, .step = 0, .statistics = kAll}, "window: step 0 is outside 1..8"},
      {{.size = 8, .step = 4}, "window: no statistics and no bands"},
      {{.size = 8, .step = 4, .statistics = {"median"}},
       "window: statistic \"median\" is not mean, deviation, min, max or rms"},
      {{.size = 8, .step = 4, .bands = {{1, 2}}}, "window: band 1-2 Hz needs a sample rate"},
      {{.size = 8, .step = 4, .sample_rate_hz = 10, .bands = {{1, 6}}},
       "window: band 1-6 Hz is not from low to high, below 5 Hz"},
      {{.size = 8, .step = 4, .sample_rate_hz = 10, .bands = {{3, 2}}},
       "window: band 3-2 Hz is not from low to high, below 5 Hz"},
      {{.size = 8, .step = 4, .sample_rate_hz = 8, .bands = {{1.1, 1.9}}},
       "window: band 1.1-1.9 Hz holds no frequency: those of 8 rows are 1 Hz apart"},
      {{.size = 8, .step = 4, .sample_rate_hz = 1e-310, .statistics = kAll},
       "window: a sample rate of 1e-310 Hz"},
  };
  for (const auto& bad : cases) {
    const auto created = WindowFeatures::Create(bad.window, 1);
    ASSERT_FALSE(created.ok()) << bad.error;
    EXPECT_EQ(created.error().message, bad.error);
  }
  const auto huge = WindowFeatures::Create({.size = 65536, .step = 1, .statistics = kAll}, 65536);
  ASSERT_FALSE(huge.ok());
  EXPECT_EQ(huge.error().message,
            "window: 65536 channels x 65536 rows are more than 16777216 numbers");
}

}  // namespace
}  // namespace tinylcm::feature
