// Raw pixels to RGB, by libyuv. "RAW" is its name for R, G, B in this order, "RGB24" for B, G, R.

#include <libyuv.h>

#include <algorithm>

#include "tinylcm/source/image.h"

namespace tinylcm::source {

void ConvertRaw(const PictureView& picture, Image& image) {
  const int width = picture.width;
  const int height = picture.height;
  const std::size_t pixels = static_cast<std::size_t>(width) * static_cast<std::size_t>(height);
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
      for (std::size_t i = 0; i < pixels; ++i) {
        to[3 * i] = from[3 * i + 2];
        to[3 * i + 1] = from[3 * i + 1];
        to[3 * i + 2] = from[3 * i];
      }
      break;
    case PictureFormat::kYuv420: {
      const int half = (width + 1) / 2;
      const std::uint8_t* u = from + pixels;
      const std::uint8_t* v =
          u + static_cast<std::size_t>(half) * static_cast<std::size_t>((height + 1) / 2);
      libyuv::I420ToRAW(from, width, u, half, v, half, to, 3 * width, width, height);
      break;
    }
    default:
      std::copy_n(from, 3 * pixels, to);
      break;
  }
}

}  // namespace tinylcm::source
