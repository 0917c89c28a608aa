// Scaling by libyuv. Its scaler knows four bytes a pixel, so three become four and three again.

#include <libyuv.h>

#include <vector>

#include "base/check.h"
#include "tinylcm/source/image.h"

namespace tinylcm::source {

void ScaleBox(const Image& from, int x, int y, int width, int height, Image& to) {
  CHECK(x >= 0 && y >= 0 && width > 0 && height > 0);
  CHECK(x + width <= from.width && y + height <= from.height);
  CHECK(to.width > 0 && to.height > 0);
  thread_local std::vector<std::uint8_t> large;
  thread_local std::vector<std::uint8_t> small;
  const auto bytes = [](int columns, int rows, int pixel) {
    return static_cast<std::size_t>(columns) * static_cast<std::size_t>(rows) *
           static_cast<std::size_t>(pixel);
  };
  large.resize(bytes(width, height, 4));
  small.resize(bytes(to.width, to.height, 4));
  to.rgb.resize(bytes(to.width, to.height, 3));
  // "RAW" is libyuv's name for R, G, B in this order.
  CHECK(libyuv::RAWToARGB(from.At(x, y), 3 * from.width, large.data(), 4 * width, width, height) ==
        0);
  CHECK(libyuv::ARGBScale(large.data(), 4 * width, width, height, small.data(), 4 * to.width,
                          to.width, to.height, libyuv::kFilterBox) == 0);
  CHECK(libyuv::ARGBToRAW(small.data(), 4 * to.width, to.rgb.data(), 3 * to.width, to.width,
                          to.height) == 0);
}

}  // namespace tinylcm::source
