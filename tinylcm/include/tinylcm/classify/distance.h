// Distances from one vector to many, and many dot products with one: the arithmetic of the frame
// path, dispatched at run time to the widest instructions the machine has (platform/highway).
//
// Every machine gets the same bits: sums run over sixteen fixed lanes and fold in a fixed order,
// without fused multiply-add, whatever the width of the vectors. So a bundle fitted on one machine
// is the bundle fitted on another, and a test compares with == against the plain loops.

#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.h"

namespace tinylcm::classify {

enum class Metric { kCosine, kEuclidean, kManhattan };

const char* Name(Metric metric);  // "cosine", "euclidean", "manhattan".
base::Result<Metric> ParseMetric(std::string_view name);

inline constexpr std::size_t kLanes = 16;

// `count` rounded up to whole lanes.
constexpr std::size_t PaddedSize(std::size_t count) {
  return (count + kLanes - 1) / kLanes * kLanes;
}

// out[i] = sum over j of query[j] * rows[i * stride + j]; and the same of (query - row) squared,
// and of |query - row|. REQUIRES: stride is a multiple of kLanes, query holds stride values; what
// lies beyond the vectors' real length is zero in both. No alignment is required.
void DotRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
             float* out);
void SquaredRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
                 float* out);
void AbsoluteRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
                  float* out);

// The same by plain loops: what the fast ones are tested against.
namespace plain {
void DotRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
             float* out);
void SquaredRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
                 float* out);
void AbsoluteRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
                  float* out);
}  // namespace plain

}  // namespace tinylcm::classify
