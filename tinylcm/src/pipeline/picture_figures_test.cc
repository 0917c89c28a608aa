#include "tinylcm/pipeline/picture_figures.h"

#include <gtest/gtest.h>

#include <vector>

namespace tinylcm::pipeline {
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
  for (std::size_t part = 5; part < kPictureFigures; ++part) EXPECT_FLOAT_EQ(figures[part], 100.0f);
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

}  // namespace
}  // namespace tinylcm::pipeline
