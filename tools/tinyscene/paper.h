// Paper: sheets to write on. 32 of them, the same on every machine: white, cream and grey, mottled,
// fibrous, plain, ruled or squared.

#pragma once

#include <array>
#include <cstddef>
#include <vector>

namespace tinyscene {

// A sheet's reflectance in linear light, which repeats after kSide pixels both ways.
struct Paper {
  static constexpr int kSide = 256;
  // Interleaved red, green, blue and an unused fourth, so that a pixel is one 16-byte load.
  std::vector<std::array<float, 4>> pixels;
};

inline constexpr std::size_t kPapers = 32;

// About 60 ms in all.
std::vector<Paper> MakePapers();

}  // namespace tinyscene
