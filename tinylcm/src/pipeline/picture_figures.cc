#include "tinylcm/pipeline/picture_figures.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/check.h"

namespace tinylcm::pipeline {

const std::array<std::string, kPictureFigures>& PictureFigureNames() {
  static const std::array<std::string, kPictureFigures> names = {
      "brightness",
      "contrast",
      "red",
      "blue",
      "sharpness",
      "brightness top left",
      "brightness top",
      "brightness top right",
      "brightness left",
      "brightness centre",
      "brightness right",
      "brightness bottom left",
      "brightness bottom",
      "brightness bottom right",
  };
  return names;
}

void MeasurePicture(std::span<const std::uint8_t> picture, int width, int height,
                    std::span<float> out) {
  CHECK(width >= 6 && height >= 6 && out.size() == kPictureFigures);
  CHECK(picture.size() == static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  std::int64_t red = 0, green = 0, blue = 0, squares = 0, edges = 0, pixels = 0;
  std::array<std::int64_t, 9> part_sum{}, part_count{};
  for (int y = 0; y < height; y += 2) {
    const std::uint8_t* row =
        picture.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width) * 3;
    const int part_row = 3 * (3 * y / height);
    for (int x = 0; x + 1 < width; x += 2) {
      const std::uint8_t* pixel = row + 3 * x;
      red += pixel[0];
      green += pixel[1];
      blue += pixel[2];
      squares += pixel[1] * pixel[1];
      edges += std::abs(pixel[4] - pixel[1]);  // Green of the next pixel.
      const auto part = static_cast<std::size_t>(part_row + 3 * x / width);
      part_sum[part] += pixel[1];
      ++part_count[part];
      ++pixels;
    }
  }
  const auto n = static_cast<double>(pixels);
  const double mean = static_cast<double>(green) / n;
  out[0] = static_cast<float>(static_cast<double>(red + green + blue) / (3.0 * n));
  out[1] =
      static_cast<float>(std::sqrt(std::max(0.0, static_cast<double>(squares) / n - mean * mean)));
  out[2] = static_cast<float>(static_cast<double>(red - green) / n);
  out[3] = static_cast<float>(static_cast<double>(blue - green) / n);
  out[4] = static_cast<float>(static_cast<double>(edges) / n);
  for (std::size_t part = 0; part < 9; ++part) {
    out[5 + part] = static_cast<float>(static_cast<double>(part_sum[part]) /
                                       static_cast<double>(part_count[part]));
  }
}

}  // namespace tinylcm::pipeline
