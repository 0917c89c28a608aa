// The arithmetic of a Processor, dispatched at run time (platform/highway). The same bits on every
// machine, as in classify/distance.h.

#pragma once

#include <cstddef>
#include <cstdint>

namespace tinylcm::feature {

inline constexpr std::size_t kLanes = 16;
constexpr std::size_t PaddedSize(std::size_t count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

// out[i] = sum over j of vector[j] * rows[i * stride + j].
// REQUIRES: stride is a multiple of kLanes; vector holds stride values; padding is zero.
void Project(const float* vector, const float* rows, std::size_t count, std::size_t stride,
             float* out);

// out[i] = (raw[i] - mean[i]) / scale[i], less off[i] unless `off` is null; any count, and raw may
// be out.
void Standardise(const float* raw, const float* mean, const float* scale, const float* off,
                 std::size_t count, float* out);

// The same product with rows of bytes and a vector of whole numbers, which is exact.
inline constexpr std::size_t kInt8Lanes = 64;
constexpr std::size_t Int8Stride(std::size_t count) {
  return (count + kInt8Lanes - 1) / kInt8Lanes * kInt8Lanes;
}

// The largest number a vector of `count` is rounded to: 8191 (14 bits with the sign), or what keeps
// the sum of as many products with bytes within 32 bits.
constexpr std::int32_t WholeMax(std::size_t count) {
  const std::size_t fits = std::size_t{0x7fffffff} / (127 * count);
  return fits < 8191 ? static_cast<std::int32_t>(fits) : 8191;
}

// Rounds the vector to whole numbers from -most to most, half to even, and returns what one of them
// stands for; 0 for a vector that is zero throughout, or shorter than 1e-30 in every number.
// REQUIRES: count is a multiple of kLanes; all finite.
float RoundToWhole(const float* vector, std::size_t count, std::int32_t most, std::int16_t* whole);

// out[i] = sum over j of vector[j] * rows[i * stride + j]. REQUIRES: stride is a multiple of
// kInt8Lanes, vector holds stride numbers not above WholeMax(stride); no byte is -128.
void ProjectWhole(const std::int16_t* vector, const std::int8_t* rows, std::size_t count,
                  std::size_t stride, std::int32_t* out);

}  // namespace tinylcm::feature
