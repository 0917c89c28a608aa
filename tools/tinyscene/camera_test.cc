#include "tools/tinyscene/camera.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "base/crypto.h"
#include "base/file_system.h"
#include "tools/tinyscene/drawer.h"

namespace tinyscene {
namespace {

using Picture = std::vector<std::uint8_t>;

const Digits& TheDigits() {
  static const Digits digits =
      Digits::Parse(
          base::ReadTextFile(base::SystemFileSystem(), "examples/digits/digits.csv", 1u << 20)
              .value())
          .value();
  return digits;
}

class CameraTest : public testing::Test {
 protected:
  Picture Take(std::uint32_t frame, const Drifts& drifts = {}, std::size_t digit = 3) {
    const auto picture = camera_.Take(frame, TheDigits().digit(digit), drifts);
    return Picture(picture.begin(), picture.end());
  }

  // The mean of one colour in the part the model sees.
  static double Mean(const Picture& picture, std::size_t colour) {
    double sum = 0;
    for (std::size_t y = 0; y < 120; ++y) {
      for (std::size_t x = 20; x < 140; ++x) sum += picture[3 * (160 * y + x) + colour];
    }
    return sum / (120 * 120);
  }

  // Mean absolute step from a pixel to its right neighbour: edges and noise.
  static double Roughness(const Picture& picture) {
    double sum = 0;
    for (std::size_t y = 0; y < 120; ++y) {
      for (std::size_t x = 20; x < 139; ++x) {
        const std::size_t at = 3 * (160 * y + x) + 1;
        sum += std::abs(picture[at] - picture[at + 3]);
      }
    }
    return sum / (120 * 119);
  }

  // Standard deviation of the pixels: what is dark against what is light.
  static double Contrast(const Picture& picture) {
    const double mean = Mean(picture, 1);
    double sum = 0;
    for (std::size_t y = 0; y < 120; ++y) {
      for (std::size_t x = 20; x < 140; ++x) {
        const double off = picture[3 * (160 * y + x) + 1] - mean;
        sum += off * off;
      }
    }
    return std::sqrt(sum / (120 * 120));
  }

  Camera camera_{7};
};

TEST_F(CameraTest, TakesTheSamePictureAgainWhateverWasTakenBetween) {
  const Picture first = Take(41);
  Take(42, {.blur = 1, .dirt = 1}, 8);
  EXPECT_EQ(Take(41), first);
  Camera another(7);
  const auto again = another.Take(41, TheDigits().digit(3), {});
  EXPECT_TRUE(std::equal(first.begin(), first.end(), again.begin()));
}

TEST_F(CameraTest, TakesAnotherPictureForAnotherFrameOrSeed) {
  EXPECT_NE(Take(41), Take(42));
  Camera another(8);
  const Picture here = Take(41);
  const auto there = another.Take(41, TheDigits().digit(3), {});
  EXPECT_FALSE(std::equal(here.begin(), here.end(), there.begin()));
}

// The bytes are the same on every machine, so they may be written down; a change of the drawing
// makes every stored model and stream another one, and shall not happen unnoticed.
TEST_F(CameraTest, DrawsTheFramesTheCommittedModelWasTrainedOn) {
  auto drawer = MakeDrawer(Kind::kCamera, 1, TheDigits());
  base::Sha256 sha;
  for (std::uint32_t frame = 0; frame < 10; ++frame) {
    Shot shot{.number = frame, .digit = frame};
    if (frame >= 5)
      shot.drifts = {.light = .5, .blur = .1, .noise = .1, .rotation = .3, .dirt = .8};
    sha.Update(drawer->Draw(shot).value());
  }
  const base::Sha256Digest digest = sha.Finish();
  EXPECT_EQ(base::HexEncode(digest),
            "daaa63ff47618d906644e83a422552982bed9cd1673707f5b3bd8c83c9fcabce");
}

TEST_F(CameraTest, LightTakesLightAwayAndWarmsIt) {
  const Picture calm = Take(1);
  const Picture dim = Take(1, {.light = .5});
  // Linear light x (1 - .45) for green; through gamma 2.2 that is x .55^(1/2.2) = x .762.
  EXPECT_NEAR(Mean(dim, 1) / Mean(calm, 1), .762, .02);
  // Red loses less (x 1.125), blue more (x .775).
  EXPECT_NEAR(Mean(dim, 0) / Mean(calm, 0), std::pow(.55 * 1.125, 1 / 2.2), .02);
  EXPECT_NEAR(Mean(dim, 2) / Mean(calm, 2), std::pow(.55 * .775, 1 / 2.2), .02);
}

TEST_F(CameraTest, CastKeepsGreenAndShiftsRedAgainstBlue) {
  const Picture calm = Take(1);
  const Picture cast = Take(1, {.cast = .5});
  EXPECT_NEAR(Mean(cast, 1), Mean(calm, 1), .5);
  EXPECT_GT(Mean(cast, 0), Mean(calm, 0) + 5);
  EXPECT_NEAR(Mean(cast, 2) / Mean(calm, 2), std::pow(.7, 1 / 2.2), .02);
}

TEST_F(CameraTest, BlurSmoothsAndNoiseRoughens) {
  const double sharp = Contrast(Take(1));
  EXPECT_LT(Contrast(Take(1, {.blur = .5})), .95 * sharp);
  EXPECT_LT(Contrast(Take(1, {.blur = 1})), .8 * sharp);
  EXPECT_GT(Roughness(Take(1, {.noise = .3})), 2 * Roughness(Take(1)));
  EXPECT_GT(Roughness(Take(1, {.noise = .6})), Roughness(Take(1, {.noise = .3})));
}

TEST_F(CameraTest, DirtDarkensWhereItLiesAndOnlyThere) {
  const Picture calm = Take(1);
  const Picture dirty = Take(1, {.dirt = 1});
  double opaque = 0;
  for (std::size_t i = 0; i < camera_.dirt().size(); ++i) {
    const std::size_t x = i % 160;
    if (x < 20 || x >= 140) continue;
    if (camera_.dirt()[i] > .95f) {
      EXPECT_LT(dirty[3 * i + 1], 90) << i;
    }
    if (camera_.dirt()[i] < 1e-4f) {
      EXPECT_NEAR(dirty[3 * i + 1], calm[3 * i + 1], 12) << i;
    }
    opaque += camera_.dirt()[i];
  }
  // Five blobs with half-widths of 11 to 17 pixels cover a sixth to a third of the square.
  EXPECT_GT(opaque / (120 * 120), .1);
  EXPECT_LT(opaque / (120 * 120), .4);
}

TEST_F(CameraTest, RotationTurnsTheDigit) {
  // A digit with ink in one row of cells only is a flat bar; turned by 45 degrees it is as high as
  // it is wide.
  Digit bar;
  for (std::size_t x = 0; x < 8; ++x) bar.ink[3 * 8 + x] = bar.ink[4 * 8 + x] = 16;
  const auto spread = [&](double rotation) {
    const auto picture = camera_.Take(5, bar, {.rotation = rotation});
    double low = 255;
    double high = 0;
    for (std::size_t y = 0; y < 120; ++y) {
      for (std::size_t x = 20; x < 140; ++x) {
        low = std::min<double>(low, picture[3 * (160 * y + x) + 1]);
        high = std::max<double>(high, picture[3 * (160 * y + x) + 1]);
      }
    }
    std::size_t top = 120;
    std::size_t bottom = 0;
    for (std::size_t y = 0; y < 120; ++y) {
      for (std::size_t x = 30; x < 130; ++x) {
        if (picture[3 * (160 * y + x) + 1] < low + (high - low) / 4) {
          top = std::min(top, y);
          bottom = std::max(bottom, y);
        }
      }
    }
    return static_cast<double>(bottom) - static_cast<double>(top);
  };
  EXPECT_LT(spread(0), 60);
  EXPECT_GT(spread(1), 75);
}

TEST_F(CameraTest, DrawsTheFramesNumberOverEverything) {
  const Picture picture = Take(1, {.light = 1, .dirt = 1});
  EXPECT_EQ(picture[0], 255);  // Cell 0 is the lowest bit of 1.
  EXPECT_EQ(picture[3 * 160 * 8], 0);
}

}  // namespace
}  // namespace tinyscene
