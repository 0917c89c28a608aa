// PictureStatistics: how the pictures of a stream look on average, as running sums a pixel and a
// histogram a channel. It is told of a picture and forgets it: 0.5 MB at 96x96, however many come.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "tinylcm/adapt/picture_transform.h"

namespace tinylcm::adapt {

inline constexpr std::size_t kLevels = 256;  // Of a channel.

// 100 pictures are enough.
class PictureStatistics {
 public:
  explicit PictureStatistics(PictureSize size);
  void Add(std::span<const std::uint8_t> picture);  // REQUIRES: size.bytes() bytes.
  std::uint64_t count() const { return count_; }
  std::vector<float> Mean() const;  // One a byte of the picture. REQUIRES: count() > 0.
  std::vector<float> StandardDeviation() const;  // The same.
  // Share of the pixels at each level, [3, 256]. REQUIRES: count() > 0.
  std::vector<float> Histogram() const;

 private:
  PictureSize size_;
  std::uint64_t count_ = 0;
  // Whole numbers: their order does not matter, and 2^48 pictures fit.
  std::vector<std::uint64_t> sum_;
  std::vector<std::uint64_t> squares_;
  std::vector<std::uint64_t> levels_;
};

// How pictures looked at fit time (from the bundle's reference).
struct PictureReference {
  PictureSize size;
  std::vector<float> mean;  // One a byte of the picture.
  std::vector<float> sd;
  std::vector<float> histogram = {};  // [3, 256]: share of the pixels at each level; may be empty.
};

}  // namespace tinylcm::adapt
