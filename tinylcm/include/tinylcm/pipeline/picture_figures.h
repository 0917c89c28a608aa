// Picture figures: what a person would say of a picture, as numbers: how bright, how much contrast,
// which cast, how sharp, and how bright in each ninth of it. They are the channels by which a
// camera's drift is explained: "brightness fell 5.1 sigma" tells more than "feature 17 moved".

#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace tinylcm::pipeline {

inline constexpr std::size_t kPictureFigures = 14;

// In the order of the figures.
const std::array<std::string, kPictureFigures>& PictureFigureNames();

// `picture`: width x height x 3 bytes of RGB. A fixed grid of pixels is looked at, every second of
// every second row, or about 48 along a side where that is fewer: 2,304 of a 96x96 picture, 3,136
// of a 224x224 one, a few microseconds. All figures are on the scale of pixels, 0 to 255.
// REQUIRES: picture.size() == width * height * 3, width and height at least 6, out.size() ==
// kPictureFigures.
void MeasurePicture(std::span<const std::uint8_t> picture, int width, int height,
                    std::span<float> out);

}  // namespace tinylcm::pipeline
