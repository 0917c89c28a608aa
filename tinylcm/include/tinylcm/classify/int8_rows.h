// Int8Rows: rows written down coarsely, a byte a number, to find out cheaply which of them could be
// among the nearest.
//
// A coarse map: whoever lies beyond the ring "certainly farther than the fifth" need not be
// visited. A row r is scale * whole numbers from -127 to 127 plus a rest whose length is known, and
// so is the query q. With the coarse rows written as qh and rh, Cauchy and Schwarz say
//     |q.r - qh.rh| = |(q - qh).r + qh.(r - rh)| <= |q - qh| |r| + |qh| |r - rh|,
// which turns the dot product of bytes, exact in whole numbers, into bounds on the distance. Every
// row whose lower bound does not exceed the k-th least upper bound is measured in float; no other
// row can be among the k, so the answer is the one of a search in float, bit for bit.
//
// The bounds are on what MeasureRows computes, rounding included, and with a margin for distances
// that become equal by it. Manhattan distances have no such bound.

#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/aligned.h"
#include "tinylcm/classify/distance.h"

namespace tinylcm::classify {

inline constexpr std::size_t kInt8Lanes = 64;
inline constexpr std::size_t kInt8DimsMax = std::size_t{1} << 16;  // Sums stay within 32 bits.

constexpr std::size_t Int8Stride(std::size_t dims) {
  return (dims + kInt8Lanes - 1) / kInt8Lanes * kInt8Lanes;
}

// What is known of a vector v beside its bytes b: v = scale * b + rest.
struct Coarse {
  float scale = 0.0f;
  float rest = 0.0f;  // At least the length of the rest.
};

// Writes `stride` bytes for the `count` numbers, zero behind them. REQUIRES: count is a multiple of
// kLanes and not above stride; all finite.
Coarse Coarsen(const float* vector, std::size_t count, std::size_t stride, std::int8_t* bytes);

// out[i] = sum over j of query[j] * rows[i * stride + j], exact. REQUIRES: stride is a multiple of
// kInt8Lanes and at most kInt8DimsMax; no byte is -128.
void DotInt8Rows(const std::int8_t* query, const std::int8_t* rows, std::size_t count,
                 std::size_t stride, std::int32_t* out);

// Many coarse rows, and the bounds on their distances. Not thread-safe.
class Int8Rows {
 public:
  // Whether rows of this kind can be bounded at all.
  static bool Can(Metric metric, std::size_t dims);

  // Room for `count` rows of `dims` numbers; all beyond reach until Set.
  Int8Rows(Metric metric, std::size_t dims, std::size_t count);

  // Row i, given padded to whole lanes; for cosine of unit length. A false answer: its numbers are
  // too large to be bounded in float, and the rows must not be asked.
  [[nodiscard]] bool Set(std::size_t i, const float* row);

  // Writes bounds on the distances (Euclidean: on their squares) to the first `count` rows, count a
  // multiple of kLanes; what was not Set lies beyond 1e37. False: the query's numbers are too
  // large.
  [[nodiscard]] bool Bound(const float* query, std::size_t count, float* low, float* high);

 private:
  Metric metric_;
  std::size_t lanes_;   // Numbers of a padded row.
  std::size_t stride_;  // Bytes of a row.
  base::AlignedVector<std::int8_t> bytes_;
  base::AlignedVector<float> scale_;
  base::AlignedVector<float> rest_;
  base::AlignedVector<float> length_;
  base::AlignedVector<float> square_;  // Euclidean: of the length; cosine: 0. Not set: 1e38.
  base::AlignedVector<std::int8_t> query_;
  base::AlignedVector<std::int32_t> dots_;
};

// How Int8Rows::Bound goes from dots to bounds (platform/highway):
//   middle = offset + square[i] + factor * scale[i] * dots[i]
//   radius = query_rest * length[i] + query_length * rest[i] + slack + slack_share * square[i]
// low and high are middle -+ radius, not below 0.
struct BoundTerms {
  float offset = 0.0f;
  float factor = 0.0f;
  float query_rest = 0.0f;
  float query_length = 0.0f;
  float slack = 0.0f;
  float slack_share = 0.0f;
};
void BoundRows(const BoundTerms& terms, const std::int32_t* dots, const float* scale,
               const float* rest, const float* length, const float* square, std::size_t count,
               float* low, float* high);

namespace plain {
void DotInt8Rows(const std::int8_t* query, const std::int8_t* rows, std::size_t count,
                 std::size_t stride, std::int32_t* out);
}  // namespace plain

}  // namespace tinylcm::classify
