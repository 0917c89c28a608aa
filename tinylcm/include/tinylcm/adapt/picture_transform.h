// PictureTransform: puts a picture right, as a hypothesis says, on its way to the model.
//
// Whatever can be is worked out when it is made: tables of 256 answers, where each turned pixel
// comes from, the weights of a blur. A picture then costs integers only. Cost a picture of 96x96
// on the test machine: bench/micro, "picture_transform".

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/input_hypothesis.h"

namespace tinylcm::adapt {

struct PictureSize {
  int width = 96;
  int height = 96;
  std::size_t bytes() const { return static_cast<std::size_t>(width) * height * 3; }
  friend bool operator==(const PictureSize&, const PictureSize&) = default;
};

// Applies a hypothesis to pictures in place. Not thread-safe; Apply does not allocate.
class PictureTransform {
 public:
  // kInvalidArgument where a step is for rows, or its maps do not fit the size.
  static base::Result<PictureTransform> Create(const InputHypothesis& hypothesis, PictureSize size);
  // REQUIRES: picture.size() == size.bytes(); RGB, row after row.
  void Apply(std::span<std::uint8_t> picture);

 private:
  struct Tap {  // Where an output pixel comes from, and the weight of the right and lower ones.
    std::uint32_t from = 0;
    std::uint16_t right = 0;  // Of 128.
    std::uint16_t down = 0;   // Of 128.
  };
  struct Ready {  // A step and what was worked out for it.
    InputStep step;
    std::vector<std::uint8_t> tables;    // 256 answers for each of three channels.
    std::vector<Tap> taps;               // kRotate.
    std::vector<std::uint16_t> weights;  // Of a blur: the middle, then one side; of 32768.
  };
  void Turn(const Ready& ready, std::span<std::uint8_t> picture);
  void Median(std::span<std::uint8_t> picture);
  // Leaves the blurred picture in smooth_, in 1/128 of a grey level.
  void Blur(const Ready& ready, std::span<const std::uint8_t> picture);

  PictureSize size_;
  std::vector<Ready> steps_;
  std::vector<std::uint8_t> scratch_;  // A copy of the picture.
  std::vector<std::uint8_t> padded_;   // A line with its edges repeated; kMedian: three of them.
  std::vector<std::uint32_t> sums_;    // A line.
  std::vector<std::uint16_t> across_;  // The picture blurred along its lines.
  std::vector<std::uint16_t> smooth_;
};

}  // namespace tinylcm::adapt
