#include "tinylcm/source/image_rule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "tests/support/allocations.h"
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

TEST(PictureMaker, BarsKeepNothingOfAPictureThatHadNone) {
  PictureMaker maker(
      {.rule = {.width = 80, .height = 80, .resize = ImageRule::Resize::kLetterbox}});
  const base::Bytes wide = Jpeg(Filled(160, 80, 250));
  const base::Bytes square = Jpeg(Filled(160, 160, 10));
  std::vector<std::uint8_t> alone, full, again;
  ASSERT_TRUE(maker.Make({.bytes = wide}, alone).ok());
  ASSERT_TRUE(maker.Make({.bytes = square}, full).ok());
  ASSERT_TRUE(maker.Make({.bytes = wide}, again).ok());
  EXPECT_NE(full, alone);
  EXPECT_EQ(again, alone);
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

// A PNG's signature and IHDR of a given size, and nothing else.
base::Bytes PngHeader(std::uint32_t width, std::uint32_t height) {
  base::Bytes png =
      base::HexDecode("89504e470d0a1a0a0000000d494844520000000000000000080200000000000000").value();
  for (std::size_t i = 0; i < 4; ++i) {
    png[16 + i] = static_cast<std::uint8_t>(width >> (24 - 8 * i));
    png[20 + i] = static_cast<std::uint8_t>(height >> (24 - 8 * i));
  }
  return png;
}

TEST(MakePicture, APictureOfGiantDimensionsIsRefusedFromItsHeader) {
  const struct {
    std::uint32_t width, height;
    std::string error;
  } cases[] = {
      {0xffffffffu, 0xffffffffu, "png: a side is longer than 8192 pixels"},
      {0x10000u, 1, "png: a side is longer than 8192 pixels"},
      {1, 0x7fffffffu, "png: a side is longer than 8192 pixels"},
      {8192, 8192, "png: 8192x8192 is more than 16777216 pixels"},
  };
  for (const auto& giant : cases) {
    const base::Bytes png = PngHeader(giant.width, giant.height);
    const auto refused = MakePicture(png, {});
    ASSERT_FALSE(refused.ok());
    // By its size, and not because the rest is missing: nothing behind the header was looked at.
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused.error().message, giant.error);
  }
  EXPECT_EQ(MakePicture(PngHeader(0, 5), {}).error().message, "png: no picture in it");

  // A JPEG whose header says 65500x65500; its two sizes lie behind SOF0, length and precision.
  base::Bytes jpeg = Jpeg(Filled(16, 16, 90));
  const base::Bytes frame_header = {0xff, 0xc0, 0x00, 0x11, 0x08};
  const auto at = std::search(jpeg.begin(), jpeg.end(), frame_header.begin(), frame_header.end());
  ASSERT_NE(at, jpeg.end());
  for (int i = 0; i < 4; i += 2) {
    at[5 + i] = 0xff;
    at[6 + i] = 0xdc;
  }
  EXPECT_EQ(MakePicture(jpeg, {}).error().message, "jpeg: a side is longer than 8192 pixels");
}

TEST(MakePicture, AnEmptyFileIsCorrupt) {
  EXPECT_EQ(MakePicture({}, {}).error().code, ErrorCode::kCorrupt);
  EXPECT_EQ(MakePicture({}, {}).error().message, "jpeg: empty");
}

TEST(ReadSize, FindsItHoweverTheHeaderIsCut) {
  const base::Bytes whole = Jpeg(Filled(161, 119, 90));
  std::size_t known = 0;
  for (std::size_t kept = 0; kept <= whole.size(); ++kept) {
    const auto size = ReadSize({.bytes = base::ByteView(whole).first(kept)});
    if (size.ok()) {
      EXPECT_EQ(*size, (PictureSize{161, 119}));
      ++known;
    } else {
      EXPECT_EQ(known, 0u) << "known with fewer bytes than " << kept;
      EXPECT_EQ(size.error().code, ErrorCode::kCorrupt);
    }
  }
  EXPECT_GT(known, 0u);
}

TEST(PlanFor, DecodesAtTheLeastSizeThatIsStillLargeEnough) {
  const auto shrink = [](int width, int height, ImageRule rule) {
    return PlanFor(rule, {width, height}, PictureFormat::kCompressed, true).shrink;
  };
  const ImageRule square{.width = 96, .height = 96};
  EXPECT_EQ(shrink(160, 120, square), 1);    // Half has 60 rows.
  EXPECT_EQ(shrink(192, 192, square), 2);    // Half is just what is needed.
  EXPECT_EQ(shrink(191, 191, square), 2);    // 95.5 is rounded up.
  EXPECT_EQ(shrink(190, 190, square), 1);    // 95 is too small.
  EXPECT_EQ(shrink(640, 480, square), 4);    // A quarter of 480 is 120.
  EXPECT_EQ(shrink(1920, 1080, square), 8);  // An eighth of 1080 is 135.
  EXPECT_EQ(shrink(4056, 3040, square), 8);  // There is no sixteenth.
  // Bars do not need pixels: 640x480 becomes 96x72, of which 480 / 4 is 120.
  const ImageRule bars{.width = 96, .height = 96, .resize = ImageRule::Resize::kLetterbox};
  EXPECT_EQ(shrink(640, 480, bars), 4);
  EXPECT_EQ(shrink(768, 576, bars), 8);  // 96x72 of 96x72.
  const ImageRule stretched{.width = 96, .height = 10, .resize = ImageRule::Resize::kStretch};
  EXPECT_EQ(shrink(384, 20, stretched), 2);  // The side that has less to give decides.
  // Only a JPEG can.
  EXPECT_EQ(PlanFor(square, {640, 480}, PictureFormat::kCompressed, false).shrink, 1);
  EXPECT_EQ(PlanFor(square, {640, 480}, PictureFormat::kRgb24, false).shrink, 1);
}

TEST(PlanFor, BeginsAYuvPictureWithAWholeColour) {
  const ImagePlan plan =
      PlanFor({.width = 96, .height = 96}, {162, 120}, PictureFormat::kYuv420, false);
  EXPECT_EQ(plan.part, (Box{20, 0, 120, 120}));  // Not 21.
}

TEST(MakePicture, WhatIsDecodedSmallShowsWhatTheWholeShows) {
  // Four fields of colour, 1600x1200, seen through 96x96.
  Image image = Filled(1600, 1200, 40);
  Paint(image, 0, 0, 800, 600, 220, 40, 40);
  Paint(image, 800, 0, 800, 600, 40, 220, 40);
  Paint(image, 0, 600, 800, 600, 40, 40, 220);
  for (const auto resize : {ImageRule::Resize::kCenterCrop, ImageRule::Resize::kStretch}) {
    const auto picture = MakePicture(Jpeg(image), {.width = 96, .height = 96, .resize = resize});
    ASSERT_TRUE(picture.ok());
    const auto at = [&](std::size_t x, std::size_t y) {
      return picture->data() + 3 * (y * 96 + x);
    };
    EXPECT_TRUE(Near(at(0, 0), 220, 40, 40));
    EXPECT_TRUE(Near(at(44, 44), 220, 40, 40));
    EXPECT_TRUE(Near(at(52, 44), 40, 220, 40));
    EXPECT_TRUE(Near(at(44, 52), 40, 40, 220));
    EXPECT_TRUE(Near(at(95, 95), 40, 40, 40));
  }
}

// The colours of 8x6 squares, red growing to the right and green downwards, in every raw format.
struct Raw {
  PictureFormat format;
  base::Bytes bytes;
};
std::vector<Raw> RawsOf(const Image& image) {
  const auto pixels =
      static_cast<std::size_t>(image.width) * static_cast<std::size_t>(image.height);
  std::vector<Raw> raws = {{PictureFormat::kRgb24, image.rgb}, {PictureFormat::kBgr24, image.rgb}};
  for (std::size_t i = 0; i < pixels; ++i) {
    std::swap(raws[1].bytes[3 * i], raws[1].bytes[3 * i + 2]);
  }
  // BT.601: Y = 16 + .257 R + .504 G + .098 B; U = 128 - .148 R - .291 G + .439 B; V = 128 + .439 R
  // - .368 G - .071 B; of every second pixel, for the squares are even.
  base::Bytes luma, blue, red;
  for (int y = 0; y < image.height; ++y) {
    for (int x = 0; x < image.width; ++x) {
      const std::uint8_t* p = image.At(x, y);
      luma.push_back(static_cast<std::uint8_t>(16.5 + .257 * p[0] + .504 * p[1] + .098 * p[2]));
      if (x % 2 != 0 || y % 2 != 0) continue;
      blue.push_back(static_cast<std::uint8_t>(128.5 - .148 * p[0] - .291 * p[1] + .439 * p[2]));
      red.push_back(static_cast<std::uint8_t>(128.5 + .439 * p[0] - .368 * p[1] - .071 * p[2]));
    }
  }
  luma.insert(luma.end(), blue.begin(), blue.end());
  luma.insert(luma.end(), red.begin(), red.end());
  raws.push_back({PictureFormat::kYuv420, luma});
  return raws;
}

TEST(PictureMaker, ARawFrameShowsWhatItsJpegShows) {
  Image image = Filled(160, 120, 0);
  for (int y = 0; y < 6; ++y) {
    for (int x = 0; x < 8; ++x) {
      Paint(image, 20 * x, 20 * y, 20, 20, static_cast<std::uint8_t>(20 + 25 * x),
            static_cast<std::uint8_t>(30 + 30 * y), 90);
    }
  }
  const ImageRule rules[] = {
      {.width = 96, .height = 96},
      {.width = 160, .height = 120},
      {.width = 120, .height = 120},  // A part of it, as it is.
      {.width = 100, .height = 100, .resize = ImageRule::Resize::kLetterbox},
      {.width = 40, .height = 90, .resize = ImageRule::Resize::kStretch},
  };
  for (const ImageRule& rule : rules) {
    const auto expected = MakePicture(Jpeg(image), rule).value();
    PictureMaker maker({.rule = rule});
    for (const Raw& raw : RawsOf(image)) {
      const auto made =
          maker.Make({.bytes = raw.bytes, .format = raw.format, .width = 160, .height = 120});
      ASSERT_TRUE(made.ok()) << made.error().message;
      ASSERT_EQ(made->size(), expected.size());
      double difference = 0;
      for (std::size_t i = 0; i < expected.size(); ++i) {
        difference += std::abs((*made)[i] - expected[i]);
      }
      EXPECT_LT(difference / static_cast<double>(expected.size()), 3.0)
          << Name(raw.format) << " at " << rule.width << "x" << rule.height;
    }
  }
}

TEST(PictureMaker, AGreyFrameIsGreyInAllThreeColours) {
  const base::Bytes grey = {10, 20, 30, 40};
  PictureMaker maker({.rule = {.width = 2, .height = 2}});
  const auto made =
      maker.Make({.bytes = grey, .format = PictureFormat::kGray8, .width = 2, .height = 2});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(base::Bytes(made->begin(), made->end()),
            (base::Bytes{10, 10, 10, 20, 20, 20, 30, 30, 30, 40, 40, 40}));
}

TEST(PictureMaker, ARawFrameOfTheRightSizeIsNotCopied) {
  const base::Bytes rgb(96 * 96 * 3, 7);
  PictureMaker maker({.rule = {}});
  const auto made =
      maker.Make({.bytes = rgb, .format = PictureFormat::kRgb24, .width = 96, .height = 96});
  ASSERT_TRUE(made.ok());
  EXPECT_EQ(made->data(), rgb.data());
}

TEST(PictureMaker, ARawFrameOfOtherBytesThanItsSizeHasIsAnError) {
  const base::Bytes rgb(96 * 96 * 3 - 1, 7);
  PictureMaker maker({.rule = {}});
  EXPECT_EQ(maker.Make({.bytes = rgb, .format = PictureFormat::kRgb24, .width = 96, .height = 96})
                .error()
                .message,
            "raw frame: 27647 bytes, expected 27648 for 96x96 rgb24");
}

TEST(PictureMaker, TakesNoMemoryOnceWarm) {
  const Image image = Filled(160, 120, 100);
  const base::Bytes jpeg = Jpeg(image);
  for (const auto resize : {ImageRule::Resize::kCenterCrop, ImageRule::Resize::kLetterbox}) {
    PictureMaker maker({.rule = {.width = 96, .height = 96, .resize = resize}});
    std::vector<Raw> frames = RawsOf(image);
    frames.push_back({PictureFormat::kCompressed, jpeg});
    std::uint64_t before = 0;
    for (int pass = 0; pass < 3; ++pass) {
      if (pass == 1) before = testing_support::Allocations();
      for (const Raw& raw : frames) {
        ASSERT_TRUE(
            maker.Make({.bytes = raw.bytes, .format = raw.format, .width = 160, .height = 120})
                .ok());
      }
    }
    EXPECT_EQ(testing_support::Allocations() - before, 0u);
  }
}

TEST(PictureMaker, ALetterboxKeepsItsBarsFromFrameToFrame) {
  PictureMaker maker(
      {.rule = {.width = 80, .height = 80, .resize = ImageRule::Resize::kLetterbox}});
  const base::Bytes wide = Jpeg(Filled(160, 80, 250));
  const base::Bytes tall = Jpeg(Filled(80, 160, 250));
  for (const base::Bytes& file : {wide, tall, wide, wide}) {
    const auto made = maker.Make({.bytes = file});
    ASSERT_TRUE(made.ok());
    const base::Bytes fresh =
        MakePicture(file, {.width = 80, .height = 80, .resize = ImageRule::Resize::kLetterbox})
            .value();
    EXPECT_EQ(base::Bytes(made->begin(), made->end()), fresh);
  }
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
