#include "tinylcm/feature/picture_figures.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "base/check.h"

namespace tinylcm::feature {

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
      "edge focus",
      "darkest point",
      "saturation",
  };
  return names;
}

namespace {

// Pixels looked at along a side, about; never more than every second.
constexpr int kLooks = 48;

struct Sums {
  std::uint32_t red = 0, green = 0, blue = 0, squares = 0, edges = 0, edge_squares = 0, ends = 0,
                darkest = 255, pixels = 0;
};

// 1 for 0 and 255.
constexpr std::uint32_t IsEnd(std::uint8_t value) {
  return static_cast<std::uint8_t>(value + 1) <= 1 ? 1 : 0;
}

// Of every `step`th pixel of a row, from column `x` on and before `end`. Returns the next column.
int AddRow(const std::uint8_t* row, int x, int end, int step, Sums& sums) {
  Sums sum = sums;  // In registers.
  for (; x < end; x += step) {
    const std::uint8_t* pixel = row + 3 * x;
    const int green = pixel[1];
    sum.red += pixel[0];
    sum.green += pixel[1];
    sum.blue += pixel[2];
    sum.squares += static_cast<std::uint32_t>(green * green);
    const auto step_up = static_cast<std::uint32_t>(std::abs(pixel[4] - green));  // The next green.
    sum.edges += step_up;
    sum.edge_squares += step_up * step_up;
    sum.ends += IsEnd(pixel[0]) + IsEnd(pixel[1]) + IsEnd(pixel[2]);
    sum.darkest = std::min<std::uint32_t>(sum.darkest, pixel[1]);
    ++sum.pixels;
  }
  sums = sum;
  return x;
}

}  // namespace

void MeasurePicture(std::span<const std::uint8_t> picture, int width, int height,
                    std::span<float> out) {
  CHECK(width >= 6 && height >= 6 && out.size() == kPictureFigures);
  CHECK(picture.size() == static_cast<std::size_t>(width) * static_cast<std::size_t>(height) * 3);
  const int step_x = std::max(2, width / kLooks);
  const int step_y = std::max(2, height / kLooks);
  // The first columns of the second and third ninth, and the last that has a right neighbour.
  const std::array<int, 3> ends = {(width + 2) / 3, (2 * width + 2) / 3, width - 1};
  std::int64_t red = 0, green = 0, blue = 0, squares = 0, edges = 0, edge_squares = 0;
  std::int64_t saturated = 0, darkest = 255, pixels = 0;
  std::array<std::int64_t, 9> part_sum{}, part_count{};
  for (int y = 0; y < height; y += step_y) {
    const std::uint8_t* row =
        picture.data() + static_cast<std::size_t>(y) * static_cast<std::size_t>(width) * 3;
    const auto part_row = static_cast<std::size_t>(3 * (3 * y / height));
    int x = 0;
    for (std::size_t part = part_row; part < part_row + 3; ++part) {
      Sums sums;
      x = AddRow(row, x, ends[part - part_row], step_x, sums);
      red += sums.red;
      green += sums.green;
      blue += sums.blue;
      squares += sums.squares;
      edges += sums.edges;
      edge_squares += sums.edge_squares;
      saturated += sums.ends;
      darkest = std::min<std::int64_t>(darkest, sums.darkest);
      pixels += sums.pixels;
      part_sum[part] += sums.green;
      part_count[part] += sums.pixels;
    }
  }
  const auto n = static_cast<double>(pixels);
  const auto step = static_cast<double>(edges) / n;
  const double mean = static_cast<double>(green) / n;
  out[kFigureBrightness] = static_cast<float>(static_cast<double>(red + green + blue) / (3.0 * n));
  out[1] =
      static_cast<float>(std::sqrt(std::max(0.0, static_cast<double>(squares) / n - mean * mean)));
  out[2] = static_cast<float>(static_cast<double>(red - green) / n);
  out[3] = static_cast<float>(static_cast<double>(blue - green) / n);
  out[kFigureSharpness] = static_cast<float>(step);
  for (std::size_t part = 0; part < 9; ++part) {
    // A ninth of a tiny picture may have none of the pixels looked at.
    out[5 + part] =
        static_cast<float>(part_count[part] == 0 ? mean
                                                 : static_cast<double>(part_sum[part]) /
                                                       static_cast<double>(part_count[part]));
  }
  // Of a picture without a step, or a black one, there is no ratio: as of an even one.
  out[kFigureEdgeFocus] =
      edges == 0 ? 1.0f : static_cast<float>(static_cast<double>(edge_squares) / n / (step * step));
  out[kFigureDarkest] = green == 0 ? 1.0f : static_cast<float>(static_cast<double>(darkest) / mean);
  out[kFigureSaturation] = static_cast<float>(static_cast<double>(saturated) / (3.0 * n));
}

}  // namespace tinylcm::feature
