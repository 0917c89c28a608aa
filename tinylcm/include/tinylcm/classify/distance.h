// Distances from one vector to many, and many dot products with one: the arithmetic of the frame
// path, dispatched at run time to the widest instructions the machine has (platform/highway).
//
// Every machine gets the same bits: sums run over sixteen fixed lanes and fold in a fixed order,
// without fused multiply-add, whatever the width of the vectors. So a bundle fitted on one machine
// is the bundle fitted on another, and a test compares with == against the plain loops.
//
// Rows and queries that start on a 64-byte boundary (base/aligned.h) are read about twice as fast;
// any address is allowed.

#pragma once

#include <cstddef>
#include <cstdint>
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

// out[i] = sum over j of query[j] * rows[i * stride + j].
// REQUIRES, here and below: stride is a multiple of kLanes, query holds stride values; what lies
// beyond the vectors' real length is zero in both.
void DotRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
             float* out);

// out[i] = the distance from query to row i. Cosine: 1 - dot, not below 0, for rows and a query of
// unit length. Euclidean: the root of the sum of (query - row) squared. Manhattan: the sum of
// |query - row|.
void MeasureRows(Metric metric, const float* query, const float* rows, std::size_t count,
                 std::size_t stride, float* out);

// The same bits for rows which[0], which[1], ...: out[i] belongs to row which[i].
void MeasureChosen(Metric metric, const float* query, const float* rows, std::size_t stride,
                   const std::uint32_t* which, std::size_t count, float* out);

// The sum of the squares in double, which no float is too large or too small for; sixteen lanes as
// above. REQUIRES: count is a multiple of kLanes, the padding zero.
double SumOfSquares(const float* vector, std::size_t count);

// out[j] = vector[j] * factor, count a multiple of kLanes; they may be the same.
void Scale(const float* vector, float factor, std::size_t count, float* out);

// The same by plain loops: what the fast ones are tested against.
namespace plain {
void DotRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
             float* out);
void MeasureRows(Metric metric, const float* query, const float* rows, std::size_t count,
                 std::size_t stride, float* out);
double SumOfSquares(const float* vector, std::size_t count);
}  // namespace plain

}  // namespace tinylcm::classify
