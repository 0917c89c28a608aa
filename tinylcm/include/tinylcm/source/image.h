// Image: decoded pixels, and what turns files into them. Implemented by
// platform/{turbojpeg,png,yuv}.

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

// Larger pictures are refused (kInvalidArgument) before memory is taken for them.
inline constexpr int kImageSideMax = 8192;

// Decode into `image`, whose memory is used again. kCorrupt for anything the decoder complains
// about, a warning such as a premature end included: half a picture is not a picture.
base::Status DecodeJpeg(base::ByteView file, Image& image);
base::Status DecodePng(base::ByteView file, Image& image);  // Alpha is dropped, grey becomes RGB.
// By the first bytes.
base::Status DecodeImage(base::ByteView file, Image& image);

// Raw pixels become RGB. kInvalidArgument where their number does not fit the size.
base::Status DecodeRaw(const PictureView& picture, Image& image);
void ConvertRaw(const PictureView& picture, Image& image);  // REQUIRES: their number fits.
// Any of them.
base::Status DecodePicture(const PictureView& picture, Image& image);

// Quality 1..100, 4:2:0.
base::Result<base::Bytes> EncodeJpeg(const Image& image, int quality);
// A raw picture as JPEG; a compressed one as it is.
base::Result<base::Bytes> CompressPicture(const PictureView& picture, int quality);

// The part of `from` at x, y of the given size, scaled to to.width x to.height: each new pixel is
// the average of those it covers (below half the size), or is interpolated between them. REQUIRES:
// the part lies inside; to's size is set and positive.
void ScaleBox(const Image& from, int x, int y, int width, int height, Image& to);

}  // namespace tinylcm::source
