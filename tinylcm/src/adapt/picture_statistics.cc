#include "tinylcm/adapt/picture_statistics.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace tinylcm::adapt {

PictureStatistics::PictureStatistics(PictureSize size)
    : size_(size), sum_(size.bytes(), 0), squares_(size.bytes(), 0), levels_(3 * kLevels, 0) {}

void PictureStatistics::Add(std::span<const std::uint8_t> picture) {
  CHECK(picture.size() == size_.bytes());
  ++count_;
  for (std::size_t i = 0; i < picture.size(); ++i) {
    const std::uint32_t value = picture[i];
    sum_[i] += value;
    squares_[i] += value * value;
  }
  for (std::size_t i = 0; i < picture.size(); i += 3) {
    ++levels_[picture[i]];
    ++levels_[kLevels + picture[i + 1]];
    ++levels_[2 * kLevels + picture[i + 2]];
  }
}

std::vector<float> PictureStatistics::Mean() const {
  CHECK(count_ > 0);
  std::vector<float> mean(sum_.size());
  for (std::size_t i = 0; i < mean.size(); ++i) {
    mean[i] = static_cast<float>(static_cast<double>(sum_[i]) / static_cast<double>(count_));
  }
  return mean;
}

std::vector<float> PictureStatistics::StandardDeviation() const {
  CHECK(count_ > 0);
  std::vector<float> sd(sum_.size());
  const double n = static_cast<double>(count_);
  for (std::size_t i = 0; i < sd.size(); ++i) {
    const double mean = static_cast<double>(sum_[i]) / n;
    sd[i] = static_cast<float>(
        std::sqrt(std::max(0.0, static_cast<double>(squares_[i]) / n - mean * mean)));
  }
  return sd;
}

std::vector<float> PictureStatistics::Histogram() const {
  CHECK(count_ > 0);
  const double pixels = static_cast<double>(count_) * static_cast<double>(size_.bytes() / 3);
  std::vector<float> share(levels_.size());
  for (std::size_t i = 0; i < share.size(); ++i) {
    share[i] = static_cast<float>(static_cast<double>(levels_[i]) / pixels);
  }
  return share;
}

}  // namespace tinylcm::adapt
