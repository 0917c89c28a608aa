#include "tinylcm/classify/int8_rows.h"

#include <cmath>

#include "base/check.h"

namespace tinylcm::classify {
namespace {

// Squares beyond this leave no room for sums of them in a float.
constexpr double kSquareMax = 1e30;
constexpr float kBeyondReach = 1e38f;
// Lengths and squares are rounded to float: up, and by more than that.
constexpr double kUp = 1.0 + 1e-6;

// What MeasureRows and BoundRows round, as a share of |q|^2 + |r|^2 (cosine: of 1): a sum of n
// numbers over 16 lanes rounds n / 16 + 4 times, the rest of either some ten times, 2^-24 each, and
// the numbers between are up to four times as large. The margin on top, 2^-18 and more, keeps
// apart what the root or 1 - dot would make equal.
float RoundingShare(std::size_t dims) {
  return (static_cast<float>(dims / kLanes) + 64.0f) * 0x1p-22f;
}

}  // namespace

bool Int8Rows::Can(Metric metric, std::size_t dims) {
  return metric != Metric::kManhattan && dims <= kInt8DimsMax;
}

Int8Rows::Int8Rows(Metric metric, std::size_t dims, std::size_t count)
    : metric_(metric), lanes_(PaddedSize(dims)), stride_(Int8Stride(dims)) {
  CHECK(Can(metric, dims));
  const std::size_t padded = PaddedSize(count);
  bytes_.assign(padded * stride_, 0);
  scale_.assign(padded, 0.0f);
  rest_.assign(padded, 0.0f);
  length_.assign(padded, 0.0f);
  square_.assign(padded, kBeyondReach);
  query_.assign(stride_, 0);
  dots_.assign(padded, 0);
}

bool Int8Rows::Set(std::size_t i, const float* row) {
  const double square = SumOfSquares(row, lanes_);
  if (!(square < kSquareMax)) return false;
  const Coarse coarse = Coarsen(row, lanes_, stride_, bytes_.data() + i * stride_);
  scale_[i] = coarse.scale;
  rest_[i] = coarse.rest;
  length_[i] = static_cast<float>(std::sqrt(square) * kUp);
  square_[i] = metric_ == Metric::kCosine ? 0.0f : static_cast<float>(square);
  return true;
}

bool Int8Rows::Bound(const float* query, std::size_t count, float* low, float* high) {
  BoundTerms terms;
  const float share = RoundingShare(lanes_);
  const Coarse coarse = Coarsen(query, lanes_, stride_, query_.data());
  if (metric_ == Metric::kCosine) {
    // 1 - dot. A query of unit length, or of none.
    terms.offset = 1.0f;
    terms.factor = -coarse.scale;
    terms.query_rest = coarse.rest;
    terms.query_length = 1.00001f + coarse.rest;
    terms.slack = share;
  } else {
    // |q|^2 + |r|^2 - 2 dot. What underflows in squares is within 1e-34.
    const double square = SumOfSquares(query, lanes_);
    if (!(square < kSquareMax)) return false;
    terms.offset = static_cast<float>(square);
    terms.factor = -2.0f * coarse.scale;
    terms.query_rest = 2.0f * coarse.rest;
    terms.query_length = 2.0f * (static_cast<float>(std::sqrt(square) * kUp) + coarse.rest);
    terms.slack = share * terms.offset + 1e-34f;
    terms.slack_share = share;
  }
  DotInt8Rows(query_.data(), bytes_.data(), count, stride_, dots_.data());
  BoundRows(terms, dots_.data(), scale_.data(), rest_.data(), length_.data(), square_.data(), count,
            low, high);
  return true;
}

namespace plain {

void DotInt8Rows(const std::int8_t* query, const std::int8_t* rows, std::size_t count,
                 std::size_t stride, std::int32_t* out) {
  for (std::size_t row = 0; row < count; ++row) {
    std::int32_t sum = 0;
    for (std::size_t j = 0; j < stride; ++j) {
      sum += static_cast<std::int32_t>(query[j]) * rows[row * stride + j];
    }
    out[row] = sum;
  }
}

}  // namespace plain
}  // namespace tinylcm::classify
