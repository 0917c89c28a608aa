#include "tinylcm/source/image_rule.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "tinylcm/source/barcode.h"

namespace tinylcm::source {
namespace {

using base::ErrorCode;

Image Filled(int width, int height, std::uint8_t grey) {
  Image image{width, height, {}};
  image.rgb.assign(3 * static_cast<std::size_t>(width) * static_cast<std::size_t>(height), grey);
  return image;
}

void Paint(Image& image, int left, int top, int width, int height, std::uint8_t r, std::uint8_t g,
           std::uint8_t b) {
  for (int y = top; y < top + height; ++y) {
    for (int x = left; x < left + width; ++x) {
      std::uint8_t* at = image.rgb.data() + (image.At(x, y) - image.rgb.data());
      at[0] = r;
      at[1] = g;
      at[2] = b;
    }
  }
}

base::Bytes Jpeg(const Image& image) { return EncodeJpeg(image, 95).value(); }

bool Near(const std::uint8_t* pixel, int r, int g, int b) {
  return std::abs(pixel[0] - r) < 12 && std::abs(pixel[1] - g) < 12 && std::abs(pixel[2] - b) < 12;
}

// The CRC's own words: cells of a number, drawn as the test camera does.
void DrawNumber(Image& frame, std::uint32_t number, std::uint16_t crc) {
  const std::uint64_t bits = number | std::uint64_t{crc} << 32;
  const int columns[] = {0, 8, 144, 152};
  for (int cell = 0; cell < 60; ++cell) {
    const std::uint8_t grey = cell < 48 && (bits >> cell & 1) != 0 ? 255 : 0;
    Paint(frame, columns[cell / 15], cell % 15 * 8, 8, 8, grey, grey, grey);
  }
}

TEST(MakePicture, KeepsColoursInTheOrderRedGreenBlue) {
  Image image = Filled(96, 96, 0);
  Paint(image, 0, 0, 96, 96, 200, 100, 30);
  const auto picture = MakePicture(Jpeg(image), {.width = 96, .height = 96});
  ASSERT_TRUE(picture.ok());
  EXPECT_TRUE(Near(picture->data(), 200, 100, 30));
}

TEST(MakePicture, CenterCropTakesTheMiddleSquare) {
  Image image = Filled(160, 120, 250);        // White sides ...
  Paint(image, 20, 0, 120, 120, 10, 10, 10);  // ... and a black middle of 120x120.
  const auto picture = MakePicture(Jpeg(image), {.width = 48, .height = 48});
  ASSERT_TRUE(picture.ok());
  ASSERT_EQ(picture->size(), 48u * 48 * 3);
  for (std::size_t pixel : {0u, 47u, 24u * 48, 48u * 48 - 1}) {
    EXPECT_TRUE(Near(picture->data() + 3 * pixel, 10, 10, 10)) << pixel;
  }
}

TEST(MakePicture, LetterboxShowsTheWholePictureBetweenGreyBars) {
  Image image = Filled(160, 80, 250);
  const auto picture = MakePicture(
      Jpeg(image), {.width = 80, .height = 80, .resize = ImageRule::Resize::kLetterbox});
  ASSERT_TRUE(picture.ok());
  // 160x80 fits as 80x40, with 20 rows of 114 above and below.
  const auto at = [&](std::size_t x, std::size_t y) { return picture->data() + 3 * (y * 80 + x); };
  EXPECT_EQ(*at(0, 19), 114);
  EXPECT_TRUE(Near(at(0, 20), 250, 250, 250));
  EXPECT_TRUE(Near(at(79, 59), 250, 250, 250));
  EXPECT_EQ(*at(79, 60), 114);
}

TEST(MakePicture, StretchShowsTheWholePictureWithoutBars) {
  Image image = Filled(160, 80, 250);
  Paint(image, 80, 0, 80, 80, 10, 10, 10);
  const auto picture =
      MakePicture(Jpeg(image), {.width = 40, .height = 40, .resize = ImageRule::Resize::kStretch});
  ASSERT_TRUE(picture.ok());
  EXPECT_TRUE(Near(picture->data() + 3 * (20 * 40 + 5), 250, 250, 250));
  EXPECT_TRUE(Near(picture->data() + 3 * (20 * 40 + 35), 10, 10, 10));
}

TEST(MakePicture, AFrameOfTheWrongSizeIsAnErrorThatNamesBothSizes) {
  const auto picture =
      MakePicture(Jpeg(Filled(80, 60, 128)),
                  {.width = 96, .height = 96, .source_width = 160, .source_height = 120});
  ASSERT_FALSE(picture.ok());
  EXPECT_EQ(picture.error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(picture.error().message, "picture is 80x60, expected 160x120");
}

TEST(MakePicture, ATruncatedJpegIsCorruptWhereverItIsCut) {
  Image image = Filled(160, 120, 90);
  for (int x = 0; x < 160; x += 10)
    Paint(image, x, x / 2, 8, 30, 255, static_cast<std::uint8_t>(x), 0);
  const base::Bytes whole = Jpeg(image);
  ASSERT_TRUE(MakePicture(whole, {}).ok());
  for (std::size_t kept = 0; kept + 2 < whole.size(); kept += 7) {
    const auto picture = MakePicture(base::ByteView(whole).first(kept), {});
    ASSERT_FALSE(picture.ok()) << kept << " of " << whole.size();
    EXPECT_EQ(picture.error().code, ErrorCode::kCorrupt);
  }
}

TEST(MakePicture, ADamagedJpegIsCorrupt) {
  base::Bytes bytes = Jpeg(Filled(160, 120, 90));
  std::fill(bytes.begin() + 20, bytes.begin() + 200, std::uint8_t{0});  // Its tables.
  EXPECT_EQ(MakePicture(bytes, {}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(MakePicture(base::AsBytes("not a picture at all"), {}).error().code,
            ErrorCode::kCorrupt);
}

TEST(MakePicture, ReadsPng) {
  // 1x1, RGB (200, 100, 30), written with Python's zlib: signature, IHDR, IDAT, IEND.
  const base::Bytes png = base::HexDecode(
                              "89504e470d0a1a0a0000000d49484452000000010000000108020000009077"
                              "53de0000000c49444154789c6338912207000342014b2b7d5c540000000049"
                              "454e44ae426082")
                              .value();
  const auto picture = MakePicture(png, {.width = 2, .height = 2});
  ASSERT_TRUE(picture.ok()) << picture.error().message;
  EXPECT_EQ(*picture,
            (std::vector<std::uint8_t>{200, 100, 30, 200, 100, 30, 200, 100, 30, 200, 100, 30}));
  EXPECT_EQ(MakePicture(base::ByteView(png).first(45), {}).error().code, ErrorCode::kCorrupt);
  base::Bytes flipped = png;
  flipped[45] ^= 1;  // Inside IDAT: its CRC no longer holds.
  EXPECT_EQ(MakePicture(flipped, {}).error().code, ErrorCode::kCorrupt);
}

TEST(PictureMaker, ReadsTheNumberDrawnBesideThePicture) {
  // CRC-16/CCITT-FALSE by hand: of the bytes 31 32 .. 39 it is 0x29b1 in every catalogue; here a
  // number's four bytes, worked out with Python's binascii.crc_hqx(bytes, 0xffff).
  const struct {
    std::uint32_t number;
    std::uint16_t crc;
  } cases[] = {{0u, 0x84c0}, {1u, 0xf274}, {123456789u, 0xe526}, {4294967295u, 0x1d0f}};
  PictureMaker maker({.rule = {}, .barcode = true});
  std::vector<std::uint8_t> picture;
  for (const auto& example : cases) {
    Image frame = Filled(160, 120, 140);
    DrawNumber(frame, example.number, example.crc);
    ASSERT_TRUE(maker.Make({.bytes = EncodeJpeg(frame, 70).value()}, picture).ok());
    EXPECT_EQ(maker.frame_number(), example.number);

    DrawNumber(frame, example.number, static_cast<std::uint16_t>(example.crc ^ 4));
    ASSERT_TRUE(maker.Make({.bytes = Jpeg(frame)}, picture).ok());
    EXPECT_EQ(maker.frame_number(), std::nullopt);
  }
}

TEST(ParseResize, TakesItsOwnNamesAndNothingElse) {
  for (const auto resize : {ImageRule::Resize::kCenterCrop, ImageRule::Resize::kLetterbox,
                            ImageRule::Resize::kStretch}) {
    EXPECT_EQ(ParseResize(Name(resize)).value(), resize);
  }
  EXPECT_FALSE(ParseResize("crop").ok());
}

}  // namespace
}  // namespace tinylcm::source
