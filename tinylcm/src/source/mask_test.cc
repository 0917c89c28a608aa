#include "tinylcm/source/mask.h"

#include <gtest/gtest.h>

namespace tinylcm::source {
namespace {

Image White(int width, int height) {
  Image image{.width = width, .height = height, .rgb = {}};
  image.rgb.assign(3 * static_cast<std::size_t>(width * height), 255);
  return image;
}

TEST(Mask, BlackensEveryPixelARegionTouchesAndNoOther) {
  Image image = White(10, 4);
  const MaskRegion region{.x = 0.25, .y = 0.5, .width = 0.5, .height = 0.5};
  ASSERT_TRUE(CheckMask(region).ok());
  ApplyMasks(std::span(&region, 1), image);
  for (int y = 0; y < 4; ++y) {
    for (int x = 0; x < 10; ++x) {
      // 2.5 to 7.5 of 10 pixels touches pixels 2 to 7; the lower half is rows 2 and 3.
      const bool is_masked = x >= 2 && x <= 7 && y >= 2;
      EXPECT_EQ(*image.At(x, y), is_masked ? 0 : 255) << x << ", " << y;
    }
  }
}

TEST(Mask, AMaskedPictureShowsNothingOfTheRegionAtAnyFormat) {
  // White below, so that anything left of it would be bright.
  const Image image = White(64, 64);
  const base::Bytes jpeg = EncodeJpeg(image, 90).value();
  const MaskRegion region{.x = 0.0, .y = 0.0, .width = 0.5, .height = 1.0};
  const std::vector<PictureView> pictures = {
      {.bytes = jpeg},
      {.bytes = image.rgb, .format = PictureFormat::kRgb24, .width = 64, .height = 64}};
  for (const PictureView& picture : pictures) {
    const base::Bytes masked = MaskedPicture(picture, std::span(&region, 1), 90).value();
    Image decoded;
    ASSERT_TRUE(DecodeJpeg(masked, decoded).ok());
    EXPECT_LT(*decoded.At(10, 30), 8);
    EXPECT_GT(*decoded.At(50, 30), 247);
  }
}

TEST(Mask, WithoutRegionsAJpegStaysAsItIs) {
  const base::Bytes jpeg = EncodeJpeg(White(16, 16), 90).value();
  EXPECT_EQ(MaskedPicture({.bytes = jpeg}, {}, 50).value(), jpeg);
}

TEST(Mask, ARegionOutsideThePictureIsRefusedWithItsNumbers) {
  for (const MaskRegion& region : {MaskRegion{0.6, 0.0, 0.5, 1.0}, MaskRegion{-0.1, 0.0, 0.5, 1.0},
                                   MaskRegion{0.0, 0.0, 0.0, 1.0}}) {
    EXPECT_FALSE(CheckMask(region).ok());
  }
  EXPECT_EQ(CheckMask({0.6, 0.0, 0.5, 1.0}).error().message,
            "a mask of 0.5 x 1 at 0.6, 0 is not inside the picture (all are shares, 0 to 1)");
}

TEST(Mask, APictureThatCannotBeDecodedIsNotKeptUnmasked) {
  const base::Bytes broken = {0xff, 0xd8, 0xff, 0x00};
  const MaskRegion region{.x = 0.0, .y = 0.0, .width = 1.0, .height = 1.0};
  EXPECT_FALSE(MaskedPicture({.bytes = broken}, std::span(&region, 1), 90).ok());
}

}  // namespace
}  // namespace tinylcm::source
