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

TEST(MakeHypotheses, AreTheClosedSetWithIdentityFirst) {
  PictureStatistics statistics(kSize);
  EXPECT_FALSE(MakeHypotheses({.size = kSize, .mean = {}, .sd = {}}, statistics).ok());
  statistics.Add(Picture(kSize.bytes(), 100));
  const PictureReference reference{.size = kSize,
                                   .mean = std::vector<float>(kSize.bytes(), 100.0f),
                                   .sd = std::vector<float>(kSize.bytes(), 10.0f)};
  std::vector<std::string> names;
  const auto hypotheses = MakeHypotheses(reference, statistics).value();
  for (const InputHypothesis& hypothesis : hypotheses) {
    names.push_back(hypothesis.name());
  }
  EXPECT_EQ(names, (std::vector<std::string>{"identity", "channel_gain", "flat_field",
                                             "flat_field_contrast", "rotate(10)", "rotate(-10)",
                                             "rotate(20)", "rotate(-20)", "rotate(30)",
                                             "rotate(-30)", "rotate(40)", "rotate(-40)"}));
}

}  // namespace
}  // namespace tinylcm::adapt
