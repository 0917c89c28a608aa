// Picture figures: what a person would say of a picture, as numbers: how bright, how much contrast,
// which cast, how sharp, how dark its darkest point, and how bright in each ninth of it. They are
// the channels by which a camera's drift is explained ("brightness fell 5.1 sigma" tells more than
// "feature 17 moved"), and some of them are signals (model/signals.h).

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace tinylcm::feature {

inline constexpr std::size_t kPictureFigures = 17;

// Where some of them stand.
inline constexpr std::size_t kFigureBrightness = 0;
inline constexpr std::size_t kFigureSharpness = 4;   // Mean step from a pixel to the next.
inline constexpr std::size_t kFigureEdgeFocus = 14;  // Mean of the squared steps over the square of
                                                     // their mean: large where few pixels, the
                                                     // edges, hold most of the steps. Blur and
                                                     // noise both make it small, light does not
                                                     // change it.
inline constexpr std::size_t kFigureDarkest = 15;    // The darkest pixel over the mean.
inline constexpr std::size_t kFigureSaturation = 16;  // Share of the numbers that are 0 or 255.

// In the order of the figures.
const std::array<std::string, kPictureFigures>& PictureFigureNames();

// `picture`: width x height x 3 bytes of RGB. A fixed grid of pixels is looked at, every second of
// every second row, or about 48 along a side where that is fewer: 2,304 of a 96x96 picture, 3,136
// of a 224x224 one, a few microseconds. Brightness, contrast, cast and sharpness are on the scale
// of pixels, 0 to 255; the last three are ratios. Green stands for all colours where only one is
// looked at.
// REQUIRES: picture.size() == width * height * 3, width and height at least 6, out.size() ==
// kPictureFigures.
void MeasurePicture(std::span<const std::uint8_t> picture, int width, int height,
                    std::span<float> out);

}  // namespace tinylcm::feature
