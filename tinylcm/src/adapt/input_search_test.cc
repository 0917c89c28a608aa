#include "tinylcm/adapt/input_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "base/random.h"
#include "tinylcm/adapt/picture_hypotheses.h"

namespace tinylcm::adapt {
namespace {

using classify::Anchors;
using classify::KnnClassifier;
using Picture = std::vector<std::uint8_t>;

constexpr PictureSize kSize{.width = 24, .height = 24};

// A picture of class 0: a dark bar upright; of class 1: a dark bar lying; paper of 200 with noise.
Picture Draw(std::uint16_t label, base::Random& random) {
  Picture picture(kSize.bytes());
  const int middle = 12 + static_cast<int>(random.Below(5)) - 2;
  for (int y = 0; y < kSize.height; ++y) {
    for (int x = 0; x < kSize.width; ++x) {
      const int across = label == 0 ? x : y;
      const int along = label == 0 ? y : x;
      const bool is_ink = std::abs(across - middle) < 2 && along > 3 && along < 20;
      for (int c = 0; c < 3; ++c) {
        const double value = (is_ink ? 60.0 : 200.0) + 4.0 * random.Normal();
        picture[static_cast<std::size_t>((y * kSize.width + x) * 3 + c)] =
            static_cast<std::uint8_t>(std::clamp(value, 0.0, 255.0));
      }
    }
  }
  return picture;
}

// A feature model a person can follow: the mean grey of each row and of each column.
base::Status Embed(std::span<const std::uint8_t> picture, std::span<float> feature) {
  std::fill(feature.begin(), feature.end(), 0.0f);
  for (int y = 0; y < kSize.height; ++y) {
    for (int x = 0; x < kSize.width; ++x) {
      const float value =
          static_cast<float>(picture[static_cast<std::size_t>((y * kSize.width + x) * 3)]) - 180.0f;
      feature[static_cast<std::size_t>(y)] += value;
      feature[static_cast<std::size_t>(kSize.height + x)] += value;
    }
  }
  return {};
}

class InputSearchTest : public testing::Test {
 protected:
  InputSearchTest() {
    Anchors anchors;
    anchors.dims = static_cast<std::size_t>(kSize.width + kSize.height);
    PictureStatistics statistics(kSize);
    std::vector<float> feature(anchors.dims);
    for (int i = 0; i < 80; ++i) {
      const auto label = static_cast<std::uint16_t>(i % 2);
      const Picture picture = Draw(label, random_);
      CHECK(Embed(picture, feature).ok());
      anchors.Add(feature, label);
      statistics.Add(picture);
    }
    reference_ = {.size = kSize, .mean = statistics.Mean(), .sd = statistics.StandardDeviation()};
    knn_.emplace(KnnClassifier::Create({.classes = 2}, anchors).value());
  }

  // Runs the search over 60 pictures after `drift` was done to each.
  template <typename Drift>
  InputSearchResult Search(Drift drift) {
    std::vector<Picture> pictures;
    PictureStatistics statistics(kSize);
    for (int i = 0; i < 60; ++i) {
      pictures.push_back(Draw(static_cast<std::uint16_t>(random_.Below(2)), random_));
      drift(pictures.back());
      statistics.Add(pictures.back());
    }
    InputSearch search =
        InputSearch::Create(MakeHypotheses(reference_, statistics).value(), kSize, *knn_, Embed)
            .value();
    for (const Picture& picture : pictures) CHECK(search.Add(picture, std::nullopt).ok());
    return search.Finish({});
  }

  static constexpr std::uint64_t kSeed = 42;
  base::Random random_{kSeed};
  PictureReference reference_;
  std::optional<KnnClassifier> knn_;
};

TEST_F(InputSearchTest, LeavesAQuietStreamAlone) {
  const InputSearchResult result = Search([](Picture&) {});
  EXPECT_FALSE(result.is_adopted) << result.scores[result.best].name << " at " << result.ratio;
  EXPECT_TRUE(result.hypothesis.is_identity());
}

TEST_F(InputSearchTest, PutsLostLightRightWithoutALabel) {
  const InputSearchResult result = Search([](Picture& picture) {
    for (std::uint8_t& pixel : picture) pixel = static_cast<std::uint8_t>(pixel * 0.4);
  });
  EXPECT_TRUE(result.is_adopted);
  EXPECT_LT(result.ratio, 0.5);
}

TEST_F(InputSearchTest, PutsADirtyLensRightWithAFlatField) {
  const InputSearchResult result = Search([](Picture& picture) {
    for (int y = 0; y < kSize.height; ++y) {
      for (int x = 0; x < kSize.width; ++x) {
        const double off = (x - 6.0) * (x - 6.0) + (y - 6.0) * (y - 6.0);
        const double passes = 1.0 - 0.8 * std::exp(-off / 60.0);
        for (int c = 0; c < 3; ++c) {
          auto& pixel = picture[static_cast<std::size_t>((y * kSize.width + x) * 3 + c)];
          pixel = static_cast<std::uint8_t>(pixel * passes);
        }
      }
    }
  });
  ASSERT_TRUE(result.is_adopted);
  EXPECT_TRUE(result.hypothesis.name() == "flat_field" ||
              result.hypothesis.name() == "flat_field_contrast")
      << result.hypothesis.name();
}

TEST_F(InputSearchTest, TurnsAPictureBack) {
  PictureTransform turn =
      PictureTransform::Create(
          InputHypothesis::Of({.kind = StepKind::kRotate, .angle_degrees = 30}), kSize)
          .value();
  const InputSearchResult result = Search([&](Picture& picture) { turn.Apply(picture); });
  ASSERT_TRUE(result.is_adopted);
  EXPECT_EQ(result.hypothesis.name(), "rotate(-30)");
}

TEST_F(InputSearchTest, IsVetoedByLabelsThatItWouldLose) {
  // Turned by 50 degrees an upright bar looks more like a lying one. Turning back would bring the
  // features home, but the person says that these are lying bars: what the device answers now.
  PictureTransform turn =
      PictureTransform::Create(
          InputHypothesis::Of({.kind = StepKind::kRotate, .angle_degrees = 50}), kSize)
          .value();
  InputSearch search =
      InputSearch::Create({InputHypothesis{},
                           InputHypothesis::Of({.kind = StepKind::kRotate, .angle_degrees = -40})},
                          kSize, *knn_, Embed)
          .value();
  std::vector<float> feature(knn_->dims());
  for (int i = 0; i < 40; ++i) {
    Picture picture = Draw(static_cast<std::uint16_t>(i % 2), random_);
    turn.Apply(picture);
    CHECK(Embed(picture, feature).ok());
    std::optional<std::uint16_t> label;
    if (i < 24) label = knn_->Classify(feature).nearest;
    ASSERT_TRUE(search.Add(picture, label).ok());
  }
  const InputSearchResult result = search.Finish({});
  ASSERT_EQ(result.labelled, 24);
  ASSERT_EQ(result.best, 1u);
  ASSERT_LE(result.ratio, 0.9);
  EXPECT_EQ(result.scores[0].correct, 24);
  EXPECT_LT(result.scores[1].correct, 23);
  EXPECT_TRUE(result.is_vetoed);
  EXPECT_FALSE(result.is_adopted);
  EXPECT_TRUE(result.hypothesis.is_identity());
  // Without the labels it would have been taken.
  EXPECT_TRUE(search.Finish({.labels_lost_max = 24}).is_adopted);
}

TEST_F(InputSearchTest, RefusesAPictureOfAnotherSize) {
  InputSearch search = InputSearch::Create({InputHypothesis{}}, kSize, *knn_, Embed).value();
  const Picture small(10);
  EXPECT_EQ(search.Add(small, std::nullopt).error().code, base::ErrorCode::kInvalidArgument);
  EXPECT_FALSE(InputSearch::Create({}, kSize, *knn_, Embed).ok());
}

}  // namespace
}  // namespace tinylcm::adapt
