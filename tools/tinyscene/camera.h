// Camera: looks at one handwritten digit on a sheet of paper and gives the picture it takes.
//
// The light is followed as it falls: ink on paper (linear reflectance) -> perspective -> lamp and
// vignette -> lens (blur, dirt) -> sensor (shot and read noise) -> gamma -> 8 bits. Whatever is
// drawn at random comes from (seed, frame number) alone, in streams that do not depend on the
// drifts, so the same frame under another drift is the same scene.
//
// Not thread-safe. About 1 ms a frame; more with blur.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/random.h"
#include "tools/tinyscene/barcode.h"
#include "tools/tinyscene/digits.h"
#include "tools/tinyscene/drifts.h"
#include "tools/tinyscene/paper.h"

namespace tinyscene {

class Camera {
 public:
  // The seed stands for one camera at one place: it fixes where dirt lies on the lens and every
  // frame's scene.
  explicit Camera(std::uint64_t seed);

  // RGB, 160x120, valid until the next call; the frame's number is drawn into it.
  std::span<const std::uint8_t> Take(std::uint32_t frame, const Digit& digit, const Drifts& drifts);

  // How opaque the lens is at full dirt, 0..1, row by row.
  const std::vector<float>& dirt() const { return dirt_; }

 private:
  // The digit as a smooth field of ink, kFieldSide samples a side with one empty cell around it.
  static constexpr int kCellSamples = 8;
  static constexpr int kFieldSide = (kDigitSide + 2) * kCellSamples;

  void DrawField(const Digit& digit);
  void DrawScene(base::Random& random, const Drifts& drifts);
  void Defocus(double radius);
  void Soften(double sigma);
  void Expose(base::Random& light, base::Random& noise, const Drifts& drifts);

  std::uint64_t seed_;
  std::vector<Paper> papers_;
  std::array<std::array<float, kDigitSide>, kFieldSide> smooth_{};  // One axis of cell -> field.
  std::vector<float> field_;
  std::array<std::vector<float>, 3> planes_;  // Red, green, blue; linear light.
  std::vector<float> scratch_;
  std::vector<double> sums_;
  std::vector<float> dirt_;
  std::vector<std::uint8_t> gamma_;  // Square root of linear light -> 8 bits.
  std::vector<std::uint8_t> picture_;
};

}  // namespace tinyscene
