// Image: decoded pixels, and what turns files and raw frames into them. Implemented by
// platform/{turbojpeg,png,yuv}.
//
//   header ─▶ size, refused here if it is wrong or too large ─▶ memory ─▶ pixels

#pragma once

#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/source/frame.h"

namespace tinylcm::source {

// 8-bit RGB, row-major, no padding.
struct Image {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> rgb;

  const std::uint8_t* At(int x, int y) const {
    return rgb.data() + 3 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                             static_cast<std::size_t>(x));
  }
};

// The same with four bytes a pixel (blue, green, red, none), which is what the scaler knows.
struct Pixels {
  int width = 0;
  int height = 0;
  std::vector<std::uint8_t> bgrx;

  const std::uint8_t* At(int x, int y) const {
    return bgrx.data() + 4 * (static_cast<std::size_t>(y) * static_cast<std::size_t>(width) +
                              static_cast<std::size_t>(x));
  }
};

// A part of a picture.
struct Box {
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;

  friend bool operator==(const Box&, const Box&) = default;
};

// Larger pictures are refused (kInvalidArgument) before memory is taken for them. 16 MiPixel are 48
// MB decoded; a progressive JPEG may need that much again.
inline constexpr int kImageSideMax = 8192;
inline constexpr int kImagePixelsMax = 16 << 20;

struct PictureSize {
  int width = 0;
  int height = 0;

  friend bool operator==(const PictureSize&, const PictureSize&) = default;
};

// What the header of a JPEG or PNG, or a raw frame, says; takes no memory. kCorrupt for a header
// that is none, kInvalidArgument for a size beyond the limits, or a raw frame of other bytes than
// its size has.
base::Result<PictureSize> ReadSize(const PictureView& picture);

bool IsPng(base::ByteView file);  // By the first bytes.

// Decode into `image`, whose memory is used again. kCorrupt for anything the decoder complains
// about, a warning such as a premature end included: half a picture is not a picture.
base::Status DecodePicture(const PictureView& picture, Image& image);
base::Status DecodeJpeg(base::ByteView file, Image& image);
base::Status DecodePng(base::ByteView file, Image& image);  // Alpha is dropped, grey becomes RGB.
// At 1/shrink of the size (1, 2, 4 or 8; rounded up), which costs less than to scale afterwards.
base::Status DecodeJpeg(base::ByteView file, int shrink, Pixels& pixels);

// Raw pixels, their number being right (ReadSize).
void ConvertRaw(const PictureView& picture, Image& image);
void ConvertRaw(const PictureView& picture, Pixels& pixels);
void Convert(const Image& image, Pixels& pixels);

// Quality 1..100, 4:2:0.
base::Result<base::Bytes> EncodeJpeg(const Image& image, int quality);
// A raw picture as JPEG; a compressed one as it is.
base::Result<base::Bytes> CompressPicture(const PictureView& picture, int quality);

// Where scaled pixels go: RGB, `row_bytes` from one row to the next.
struct RgbTarget {
  std::uint8_t* first = nullptr;
  int row_bytes = 0;
  int width = 0;
  int height = 0;
};

// The part `box` of `from`, scaled to the target's size: each new pixel is the average of those it
// covers (below half the size), or is interpolated between them. `scratch`: memory that is used
// again. REQUIRES: the box lies inside; the target's size is positive.
void ScaleBox(const Pixels& from, const Box& box, Pixels& scratch, const RgbTarget& to);
// The same of a kYuv420 frame: its planes are scaled, then they become RGB. REQUIRES: box.x and
// box.y are even.
void ScaleYuv(const PictureView& from, const Box& box, base::Bytes& scratch, const RgbTarget& to);

}  // namespace tinylcm::source
