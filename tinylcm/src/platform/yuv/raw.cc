// Raw pixels by libyuv. "RAW" is its name for red, green, blue in memory, "RGB24" for blue, green,
// red, "ARGB" for blue, green, red, alpha, "J400" for grey over the whole range.

#include <libyuv.h>

#include <algorithm>

#include "base/check.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {

namespace {

std::size_t Count(int columns, int rows) {
  return static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows);
}

}  // namespace

void ConvertRaw(const PictureView& picture, Image& image) {
  const int width = picture.width;
  const int height = picture.height;
  const std::size_t pixels = Count(width, height);
  CHECK(picture.bytes.size() == RawBytes(picture.format, width, height));
  image.width = width;
  image.height = height;
  image.rgb.resize(3 * pixels);
  const std::uint8_t* from = picture.bytes.data();
  std::uint8_t* to = image.rgb.data();
  switch (picture.format) {
    case PictureFormat::kGray8:
      for (std::size_t i = 0; i < pixels; ++i) {
        to[3 * i] = to[3 * i + 1] = to[3 * i + 2] = from[i];
      }
      break;
    case PictureFormat::kBgr24:
      CHECK(libyuv::RAWToRGB24(from, 3 * width, to, 3 * width, width, height) == 0);
      break;
    case PictureFormat::kYuv420: {
      const int half = (width + 1) / 2;
      const std::uint8_t* u = from + pixels;
      const std::uint8_t* v = u + Count(half, (height + 1) / 2);
      CHECK(libyuv::I420ToRAW(from, width, u, half, v, half, to, 3 * width, width, height) == 0);
      break;
    }
    default:
      std::copy_n(from, 3 * pixels, to);
      break;
  }
}

void ConvertRaw(const PictureView& picture, Pixels& pixels) {
  const int width = picture.width;
  const int height = picture.height;
  CHECK(picture.bytes.size() == RawBytes(picture.format, width, height));
  pixels.width = width;
  pixels.height = height;
  pixels.bgrx.resize(4 * Count(width, height));
  const std::uint8_t* from = picture.bytes.data();
  std::uint8_t* to = pixels.bgrx.data();
  switch (picture.format) {
    case PictureFormat::kGray8:
      CHECK(libyuv::J400ToARGB(from, width, to, 4 * width, width, height) == 0);
      break;
    case PictureFormat::kBgr24:
      CHECK(libyuv::RGB24ToARGB(from, 3 * width, to, 4 * width, width, height) == 0);
      break;
    case PictureFormat::kYuv420: {
      const int half = (width + 1) / 2;
      const std::uint8_t* u = from + Count(width, height);
      const std::uint8_t* v = u + Count(half, (height + 1) / 2);
      CHECK(libyuv::I420ToARGB(from, width, u, half, v, half, to, 4 * width, width, height) == 0);
      break;
    }
    default:
      CHECK(libyuv::RAWToARGB(from, 3 * width, to, 4 * width, width, height) == 0);
      break;
  }
}

void Convert(const Image& image, Pixels& pixels) {
  ConvertRaw({.bytes = image.rgb,
              .format = PictureFormat::kRgb24,
              .width = image.width,
              .height = image.height},
             pixels);
}

}  // namespace tinylcm::source
