#include "tinylcm/adapt/picture_transform.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/random.h"

namespace tinylcm::adapt {
namespace {

using Picture = std::vector<std::uint8_t>;

TEST(PictureTransform, AppliesGainAndOffsetWithRounding) {
  InputStep step{.kind = StepKind::kChannelGain};
  step.gains = {8192, 4096, 2048};  // 2, 1, 1/2
  step.offsets = {0, -160, 8};      // 0, -10, +1/2
  const PictureSize size{.width = 2, .height = 2};
  Picture picture = {100, 5, 11, 200, 30, 10, 0, 255, 255, 1, 10, 0};
  PictureTransform::Create(InputHypothesis::Of(step), size).value().Apply(picture);
  // 11 / 2 + 1/2 = 6; 10 / 2 + 1/2 = 5.5, up to 6; 255 / 2 + 1/2 = 128; 0 / 2 + 1/2, up to 1.
  EXPECT_EQ(picture, (Picture{200, 0, 6, 255, 20, 6, 0, 245, 128, 2, 0, 1}));
}

TEST(PictureTransform, TurnsAgainstTheClock) {
  const PictureSize size{.width = 5, .height = 5};
  Picture picture(size.bytes(), 0);
  const auto at = [](int x, int y) { return static_cast<std::size_t>((y * 5 + x) * 3); };
  picture[at(4, 2)] = 255;  // Right of the middle...
  PictureTransform::Create(InputHypothesis::Of({.kind = StepKind::kRotate, .angle_degrees = 90}),
                           size)
      .value()
      .Apply(picture);
  EXPECT_EQ(picture[at(2, 0)], 255);  // ...is now above it.
  EXPECT_EQ(picture[at(4, 2)], 0);
}

TEST(PictureTransform, LooksEachChannelUpInItsTable) {
  InputStep step{.kind = StepKind::kHistogramMatch};
  step.table.resize(768);
  for (std::size_t i = 0; i < 256; ++i) {
    step.table[i] = static_cast<std::uint8_t>(255 - i);  // Red turned round,
    step.table[256 + i] = static_cast<std::uint8_t>(i);  // green kept,
    step.table[512 + i] = 7;                             // blue gone.
  }
  const PictureSize size{.width = 2, .height = 2};
  Picture picture = {0, 10, 20, 255, 0, 1, 100, 100, 100, 1, 2, 3};
  PictureTransform::Create(InputHypothesis::Of(step), size).value().Apply(picture);
  EXPECT_EQ(picture, (Picture{255, 10, 7, 0, 0, 7, 155, 100, 7, 254, 2, 7}));
}

// What a median and a blur should give, written down as they are defined.
class Slow {
 public:
  Slow(const Picture& picture, PictureSize size) : picture_(picture), size_(size) {}
  int At(int x, int y, int c) const {
    x = std::clamp(x, 0, size_.width - 1);
    y = std::clamp(y, 0, size_.height - 1);
    return picture_[static_cast<std::size_t>((y * size_.width + x) * 3 + c)];
  }
  int Median(int x, int y, int c) const {
    std::vector<int> nine;
    for (int dy = -1; dy <= 1; ++dy) {
      for (int dx = -1; dx <= 1; ++dx) nine.push_back(At(x + dx, y + dy, c));
    }
    std::sort(nine.begin(), nine.end());
    return nine[4];
  }
  double Blur(int x, int y, int c, double sigma) const {
    const int radius = static_cast<int>(std::lround(3 * sigma));
    double sum = 0.0;
    double total = 0.0;
    for (int dy = -radius; dy <= radius; ++dy) {
      for (int dx = -radius; dx <= radius; ++dx) {
        const double weight = std::exp(-0.5 * (dx * dx + dy * dy) / (sigma * sigma));
        sum += weight * At(x + dx, y + dy, c);
        total += weight;
      }
    }
    return sum / total;
  }

 private:
  const Picture& picture_;
  PictureSize size_;
};

Picture Noise(PictureSize size, std::uint64_t seed) {
  base::Random random(seed);
  Picture picture(size.bytes());
  for (std::uint8_t& pixel : picture) pixel = static_cast<std::uint8_t>(random.Below(256));
  return picture;
}

class PictureFilterTest : public testing::TestWithParam<PictureSize> {
 protected:
  // Calls check(x, y, c, filtered) for every byte of a filtered picture of noise.
  template <typename Check>
  void EachByte(const InputStep& step, Check check) {
    const PictureSize size = GetParam();
    Picture filtered = noise_;
    PictureTransform transform = PictureTransform::Create(InputHypothesis::Of(step), size).value();
    transform.Apply(filtered);
    Picture again = noise_;  // Nothing of the last picture is left in it.
    transform.Apply(again);
    EXPECT_EQ(again, filtered);
    for (int y = 0; y < size.height; ++y) {
      for (int x = 0; x < size.width; ++x) {
        for (int c = 0; c < 3; ++c) {
          check(x, y, c, int{filtered[static_cast<std::size_t>((y * size.width + x) * 3 + c)]});
        }
      }
    }
  }
  const Picture noise_ = Noise(GetParam(), 5);
  const Slow slow_{noise_, GetParam()};
};

TEST_P(PictureFilterTest, GivesTheMedianOfNine) {
  EachByte({.kind = StepKind::kMedian}, [&](int x, int y, int c, int filtered) {
    EXPECT_EQ(filtered, slow_.Median(x, y, c)) << x << ',' << y << ',' << c;
  });
}

TEST_P(PictureFilterTest, BlursByAGaussian) {
  EachByte({.kind = StepKind::kGaussian, .sigma_tenths = 10},
           [&](int x, int y, int c, int filtered) {
             // Half a level of rounding and the fixed point's .02.
             EXPECT_NEAR(filtered, slow_.Blur(x, y, c, 1.0), 0.52) << x << ',' << y << ',' << c;
           });
}

TEST_P(PictureFilterTest, SharpensByWhatABlurTakesAway) {
  EachByte({.kind = StepKind::kUnsharp, .sigma_tenths = 25, .amount_tenths = 15},
           [&](int x, int y, int c, int filtered) {
             const double pixel = slow_.At(x, y, c);
             const double sharp = pixel + 1.5 * (pixel - slow_.Blur(x, y, c, 2.5));
             EXPECT_NEAR(filtered, std::clamp(sharp, 0.0, 255.0), 0.56) << x << ',' << y;
           });
}

// Narrower and lower than the filters are wide, odd, and wider than a wide instruction.
INSTANTIATE_TEST_SUITE_P(Sizes, PictureFilterTest,
                         testing::Values(PictureSize{.width = 2, .height = 3},
                                         PictureSize{.width = 5, .height = 4},
                                         PictureSize{.width = 37, .height = 21}));

TEST(PictureTransform, LeavesAFlatPictureFlat) {
  const PictureSize size{.width = 9, .height = 9};
  for (const InputStep& step :
       {InputStep{.kind = StepKind::kMedian},
        InputStep{.kind = StepKind::kGaussian, .sigma_tenths = 10},
        InputStep{.kind = StepKind::kUnsharp, .sigma_tenths = 40, .amount_tenths = 40},
        InputStep{.kind = StepKind::kRotate, .angle_degrees = 35}}) {
    for (const int level : {0, 1, 127, 254, 255}) {
      const Picture flat(size.bytes(), static_cast<std::uint8_t>(level));
      Picture picture = flat;
      PictureTransform::Create(InputHypothesis::Of(step), size).value().Apply(picture);
      EXPECT_EQ(picture, flat) << step.name();
    }
  }
}

TEST(PictureTransform, DoesOneStepAfterTheOther) {
  const PictureSize size{.width = 16, .height = 16};
  const InputStep turn{.kind = StepKind::kRotate, .angle_degrees = 20};
  const InputStep darker{
      .kind = StepKind::kChannelGain, .gains = {2048, 2048, 2048}, .offsets = {0, 0, 0}};
  Picture both = Noise(size, 6);
  Picture one_by_one = both;
  PictureTransform::Create({.steps = {turn, darker}}, size).value().Apply(both);
  PictureTransform::Create(InputHypothesis::Of(turn), size).value().Apply(one_by_one);
  PictureTransform::Create(InputHypothesis::Of(darker), size).value().Apply(one_by_one);
  EXPECT_EQ(both, one_by_one);
}

TEST(PictureTransform, RefusesWhatDoesNotFit) {
  const auto refusal = [](InputStep step) {
    const auto made = PictureTransform::Create(InputHypothesis::Of(std::move(step)), {});
    EXPECT_FALSE(made.ok());
    return made.ok() ? "" : made.error().message;
  };
  EXPECT_EQ(refusal({.kind = StepKind::kFlatField,
                     .gains = std::vector<std::uint16_t>(10, 4096),
                     .offsets = std::vector<std::int16_t>(10, 0)}),
            "picture transform: flat_field with 10 gains and 10 offsets, 27648 expected");
  EXPECT_EQ(refusal({.kind = StepKind::kHistogramMatch}),
            "picture transform: histogram_match with a table of 0 bytes, 768 expected");
  EXPECT_EQ(refusal({.kind = StepKind::kGaussian}),
            "picture transform: gaussian with a blur of 0 tenths of a pixel");
  EXPECT_EQ(refusal({.kind = StepKind::kUnsharp, .sigma_tenths = 25, .amount_tenths = -1}),
            "picture transform: unsharp(2.5) with an amount of -1 tenths");
  EXPECT_EQ(refusal({.kind = StepKind::kRowGain}), "picture transform: row_gain is for rows");
}

}  // namespace
}  // namespace tinylcm::adapt
