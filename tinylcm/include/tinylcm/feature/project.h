// The arithmetic of a Processor, dispatched at run time (platform/highway). The same bits on every
// machine, as in classify/distance.h.

#pragma once

#include <cstddef>

namespace tinylcm::feature {

inline constexpr std::size_t kLanes = 16;
constexpr std::size_t PaddedSize(std::size_t count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

// out[i] = sum over j of vector[j] * rows[i * stride + j].
// REQUIRES: stride is a multiple of kLanes; vector holds stride values; padding is zero.
void Project(const float* vector, const float* rows, std::size_t count, std::size_t stride,
             float* out);

// out[i] = (raw[i] - mean[i]) / scale[i]; any count, and raw may be out.
void Standardise(const float* raw, const float* mean, const float* scale, std::size_t count,
                 float* out);

}  // namespace tinylcm::feature
