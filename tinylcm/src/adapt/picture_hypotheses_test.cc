#include "tinylcm/adapt/picture_hypotheses.h"

#include <gtest/gtest.h>

#include <string>

namespace tinylcm::adapt {
namespace {

using Picture = std::vector<std::uint8_t>;

constexpr PictureSize kSize{.width = 24, .height = 24};

TEST(PictureStatistics, GivesTheMeanAndDeviationOfEachPixel) {
  const PictureSize size{.width = 2, .height = 2};
  PictureStatistics statistics(size);
  statistics.Add(Picture(12, 10));
  statistics.Add(Picture(12, 30));
  EXPECT_EQ(statistics.Mean(), std::vector<float>(12, 20.0f));
  EXPECT_EQ(statistics.StandardDeviation(), std::vector<float>(12, 10.0f));
}

TEST(PictureStatistics, GivesTheShareOfEachLevel) {
  const PictureSize size{.width = 2, .height = 2};
  PictureStatistics statistics(size);
  statistics.Add(Picture{0, 5, 7, 0, 5, 7, 0, 5, 8, 255, 5, 9});
  const std::vector<float> histogram = statistics.Histogram();
  EXPECT_EQ(histogram[0], 0.75f);
  EXPECT_EQ(histogram[255], 0.25f);
  EXPECT_EQ(histogram[256 + 5], 1.0f);
  EXPECT_EQ(histogram[512 + 7], 0.5f);
}

TEST(MakeHypotheses, AreTheClosedSetWithIdentityFirst) {
  PictureStatistics statistics(kSize);
  EXPECT_FALSE(MakeHypotheses({.size = kSize, .mean = {}, .sd = {}}, statistics).ok());
  statistics.Add(Picture(kSize.bytes(), 100));
  PictureReference reference{.size = kSize,
                             .mean = std::vector<float>(kSize.bytes(), 100.0f),
                             .sd = std::vector<float>(kSize.bytes(), 10.0f),
                             .histogram = std::vector<float>(3 * kLevels, 1.0f / 256)};
  std::vector<std::string> names;
  const auto hypotheses = MakeHypotheses(reference, statistics).value();
  for (const InputHypothesis& hypothesis : hypotheses) {
    names.push_back(hypothesis.name());
  }
  EXPECT_EQ(names, (std::vector<std::string>{
                       "identity", "channel_gain", "histogram_match", "flat_field",
                       "flat_field_contrast", "median", "gaussian", "unsharp(2.5)", "unsharp(4)",
                       "rotate(10)", "rotate(-10)", "rotate(20)", "rotate(-20)", "rotate(30)",
                       "rotate(-30)", "rotate(40)", "rotate(-40)"}));
  // An older bundle knows no histogram.
  reference.histogram.clear();
  EXPECT_EQ(MakeHypotheses(reference, statistics).value().size(), names.size() - 1);
  reference.histogram.resize(5);
  EXPECT_FALSE(MakeHypotheses(reference, statistics).ok());
}

TEST(MakeHypotheses, MatchesAHistogramLevelByLevel) {
  // The fit saw 0, 100 and 200 in parts of a quarter, a half, a quarter; the stream sees 10, 20, 30
  // in the same parts: each goes where its like was.
  PictureReference reference{.size = {.width = 2, .height = 2},
                             .mean = std::vector<float>(12, 100.0f),
                             .sd = std::vector<float>(12, 10.0f),
                             .histogram = std::vector<float>(3 * kLevels, 0.0f)};
  for (std::size_t c = 0; c < 3; ++c) {
    reference.histogram[c * kLevels] = 0.25f;
    reference.histogram[c * kLevels + 100] = 0.5f;
    reference.histogram[c * kLevels + 200] = 0.25f;
  }
  PictureStatistics stream(reference.size);
  Picture picture = {10, 10, 10, 20, 20, 20, 20, 20, 20, 30, 30, 30};
  stream.Add(picture);
  const std::vector<InputStep> tones = Tones(reference, stream).value();
  ASSERT_EQ(tones[1].name(), "histogram_match");
  PictureTransform::Create(InputHypothesis::Of(tones[1]), reference.size).value().Apply(picture);
  EXPECT_EQ(picture, (Picture{0, 0, 0, 100, 100, 100, 100, 100, 100, 200, 200, 200}));
}

}  // namespace
}  // namespace tinylcm::adapt
