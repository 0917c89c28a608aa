#include "tinylcm/feature/picture_figures.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <vector>

#include "base/random.h"

namespace tinylcm::feature {
namespace {

constexpr int kSide = 12;

std::vector<std::uint8_t> Grey(std::uint8_t value) {
  return std::vector<std::uint8_t>(kSide * kSide * 3, value);
}

std::vector<float> Measure(const std::vector<std::uint8_t>& picture) {
  std::vector<float> figures(kPictureFigures);
  MeasurePicture(picture, kSide, kSide, figures);
  return figures;
}

TEST(PictureFigures, AGreyPictureHasBrightnessAndNothingElse) {
  const std::vector<float> figures = Measure(Grey(100));
  EXPECT_FLOAT_EQ(figures[0], 100.0f);
  for (const std::size_t flat : {1, 2, 3, 4}) EXPECT_FLOAT_EQ(figures[flat], 0.0f) << flat;
  for (std::size_t part = 5; part < 14; ++part) EXPECT_FLOAT_EQ(figures[part], 100.0f);
  EXPECT_FLOAT_EQ(figures[kFigureEdgeFocus], 1.0f);
  EXPECT_FLOAT_EQ(figures[kFigureDarkest], 1.0f);
  EXPECT_FLOAT_EQ(figures[kFigureSaturation], 0.0f);
}

TEST(PictureFigures, AWarmCastRaisesRedOverGreenAndLowersBlue) {
  std::vector<std::uint8_t> picture = Grey(100);
  for (std::size_t i = 0; i < picture.size(); i += 3) {
    picture[i] = 120;
    picture[i + 2] = 70;
  }
  const std::vector<float> figures = Measure(picture);
  EXPECT_FLOAT_EQ(figures[2], 20.0f);
  EXPECT_FLOAT_EQ(figures[3], -30.0f);
}

TEST(PictureFigures, ADarkCornerIsFoundInItsNinth) {
  std::vector<std::uint8_t> picture = Grey(100);
  for (int y = 8; y < kSide; ++y) {
    for (int x = 0; x < 4; ++x) {
      for (int c = 0; c < 3; ++c) picture[static_cast<std::size_t>((y * kSide + x) * 3 + c)] = 10;
    }
  }
  const std::vector<float> figures = Measure(picture);
  for (std::size_t part = 0; part < 9; ++part) {
    const bool is_bottom_left = PictureFigureNames()[5 + part] == "brightness bottom left";
    EXPECT_FLOAT_EQ(figures[5 + part], is_bottom_left ? 10.0f : 100.0f) << part;
  }
}

TEST(PictureFigures, StripesAreSharpAndContrasty) {
  std::vector<std::uint8_t> picture = Grey(0);
  for (std::size_t i = 0; i < picture.size(); i += 6) {
    picture[i] = picture[i + 1] = picture[i + 2] = 200;  // Every second column.
  }
  // Each pixel looked at is 200, its right neighbour 0.
  EXPECT_FLOAT_EQ(Measure(picture)[4], 200.0f);
}

TEST(PictureFigures, AFewEdgesOnCalmGroundAreFocusedAndAnEvenRippleIsNot) {
  // 6 x 6 pixels are looked at, columns 0, 2, ..., 10. One edge between columns 4 and 5: one step
  // in six is 60, so the mean is 10, the mean square 600, and 600 / 10^2 = 6.
  std::vector<std::uint8_t> edge = Grey(100);
  std::vector<std::uint8_t> ripple = Grey(100);
  for (int y = 0; y < kSide; ++y) {
    for (int x = 0; x < kSide; ++x) {
      const auto at = static_cast<std::size_t>((y * kSide + x) * 3 + 1);
      if (x > 4) edge[at] = 160;
      if (x % 2 == 1) ripple[at] = 110;  // Every step is 10.
    }
  }
  EXPECT_FLOAT_EQ(Measure(edge)[kFigureEdgeFocus], 6.0f);
  EXPECT_FLOAT_EQ(Measure(ripple)[kFigureEdgeFocus], 1.0f);
  // With half the light it is the same.
  for (std::uint8_t& value : edge) value = static_cast<std::uint8_t>(value / 2);
  EXPECT_FLOAT_EQ(Measure(edge)[kFigureEdgeFocus], 6.0f);
}

TEST(PictureFigures, ADarkSpotShowsAgainstTheMean) {
  std::vector<std::uint8_t> picture = Grey(100);
  picture[(2 * kSide + 4) * 3 + 1] = 10;  // One of the 36 pixels looked at: their mean is 97.5.
  EXPECT_FLOAT_EQ(Measure(picture)[kFigureDarkest], 10.0f / 97.5f);
}

TEST(PictureFigures, NumbersAtEitherEndAreSaturated) {
  std::vector<std::uint8_t> picture = Grey(100);
  picture[0] = 0;  // Of 3 * 36 looked at.
  picture[(4 * kSide + 6) * 3 + 2] = 255;
  picture[(4 * kSide + 6) * 3] = 254;
  EXPECT_FLOAT_EQ(Measure(picture)[kFigureSaturation], 2.0f / 108.0f);
}

TEST(PictureFigures, ABlackPictureHasNoNan) {
  const std::vector<float> figures = Measure(Grey(0));
  for (const float figure : figures) EXPECT_TRUE(std::isfinite(figure));
  EXPECT_FLOAT_EQ(figures[kFigureSaturation], 1.0f);
}

std::vector<std::uint8_t> Noise(int width, int height, std::uint64_t seed) {
  base::Random random(seed);
  std::vector<std::uint8_t> picture(static_cast<std::size_t>(width * height * 3));
  for (std::uint8_t& value : picture) value = static_cast<std::uint8_t>(random.Below(256));
  return picture;
}

// Brightness of a ninth, from every second pixel of every second row.
double PlainNinth(const std::vector<std::uint8_t>& picture, int side, int part) {
  double sum = 0.0, count = 0.0;
  for (int y = 0; y < side; y += 2) {
    for (int x = 0; x + 1 < side; x += 2) {
      if (3 * (3 * y / side) + 3 * x / side != part) continue;
      sum += picture[static_cast<std::size_t>((y * side + x) * 3 + 1)];
      count += 1.0;
    }
  }
  return sum / count;
}

TEST(PictureFigures, EverySecondPixelOfEverySecondRowIsLookedAtUpToASideOf143) {
  for (const int side : {12, 95, 96, 97, 143}) {
    const std::vector<std::uint8_t> picture = Noise(side, side, 7);
    std::vector<float> figures(kPictureFigures);
    MeasurePicture(picture, side, side, figures);
    double edges = 0.0, count = 0.0;
    for (int y = 0; y < side; y += 2) {
      for (int x = 0; x + 1 < side; x += 2) {
        const auto at = static_cast<std::size_t>((y * side + x) * 3 + 1);
        edges += std::abs(picture[at + 3] - picture[at]);
        count += 1.0;
      }
    }
    EXPECT_FLOAT_EQ(figures[4], static_cast<float>(edges / count)) << side;
    for (int part = 0; part < 9; ++part) {
      EXPECT_FLOAT_EQ(figures[static_cast<std::size_t>(5 + part)],
                      static_cast<float>(PlainNinth(picture, side, part)))
          << side << ", ninth " << part;
    }
  }
}

TEST(PictureFigures, ALargerPictureIsLookedAtMoreCoarselyAndSaysTheSame) {
  // A slope from 0 at the left to 223 at the right: the grid's step of 4 begins at 0, so its mean
  // lies (4 - 1) / 2 below the slope's, within the picture's rounding.
  constexpr int kLarge = 224;
  std::vector<std::uint8_t> picture;
  for (int y = 0; y < kLarge; ++y) {
    for (int x = 0; x < kLarge; ++x) picture.insert(picture.end(), 3, static_cast<std::uint8_t>(x));
  }
  std::vector<float> figures(kPictureFigures);
  MeasurePicture(picture, kLarge, kLarge, figures);
  EXPECT_NEAR(figures[0], 223.0 / 2.0, 1.51);
  EXPECT_NEAR(figures[1], 224.0 / std::sqrt(12.0), 0.5);  // Of a uniform spread.
  EXPECT_FLOAT_EQ(figures[4], 1.0f);
  EXPECT_NEAR(figures[6], figures[5] + 224.0f / 3.0f, 1.5f);
  EXPECT_NEAR(figures[7], figures[6] + 224.0f / 3.0f, 1.5f);
}

TEST(PictureFigures, ANinthWithoutAPixelLookedAtTakesTheMeanAndIsNoNan) {
  const std::vector<std::uint8_t> picture = Noise(7, 7, 3);
  std::vector<float> figures(kPictureFigures);
  MeasurePicture(picture, 7, 7, figures);
  for (const float figure : figures) EXPECT_TRUE(std::isfinite(figure));
}

}  // namespace
}  // namespace tinylcm::feature
