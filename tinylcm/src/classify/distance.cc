#include "tinylcm/classify/distance.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace tinylcm::classify {

const char* Name(Metric metric) {
  switch (metric) {
    case Metric::kCosine:
      return "cosine";
    case Metric::kEuclidean:
      return "euclidean";
    case Metric::kManhattan:
      return "manhattan";
  }
  return "cosine";
}

base::Result<Metric> ParseMetric(std::string_view name) {
  for (const Metric metric : {Metric::kCosine, Metric::kEuclidean, Metric::kManhattan}) {
    if (name == Name(metric)) return metric;
  }
  return base::Error{base::ErrorCode::kInvalidArgument,
                     base::StrCat("no metric ", name, "; there are cosine, euclidean, manhattan")};
}

namespace plain {
namespace {

// Sixteen lanes, then folded in halves: lane i takes lane i + 8, then i + 4, i + 2, i + 1. That
// order is the contract of distance.h.
template <typename T>
T Fold(T (&lanes)[kLanes]) {
  for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

template <typename Term>
void ForRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
             float* out, Term term) {
  for (std::size_t row = 0; row < count; ++row) {
    float lanes[kLanes] = {};
    const float* values = rows + row * stride;
    for (std::size_t j = 0; j < stride; j += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        lanes[lane] += term(query[j + lane], values[j + lane]);
      }
    }
    out[row] = Fold(lanes);
  }
}

}  // namespace

void DotRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
             float* out) {
  ForRows(query, rows, count, stride, out, [](float a, float b) { return a * b; });
}

void MeasureRows(Metric metric, const float* query, const float* rows, std::size_t count,
                 std::size_t stride, float* out) {
  switch (metric) {
    case Metric::kCosine:
      DotRows(query, rows, count, stride, out);
      // Rounding may carry a cosine past 1.
      for (std::size_t i = 0; i < count; ++i) out[i] = std::max(0.0f, 1.0f - out[i]);
      return;
    case Metric::kEuclidean:
      ForRows(query, rows, count, stride, out, [](float a, float b) { return (a - b) * (a - b); });
      for (std::size_t i = 0; i < count; ++i) out[i] = std::sqrt(out[i]);
      return;
    case Metric::kManhattan:
      ForRows(query, rows, count, stride, out, [](float a, float b) { return std::abs(a - b); });
      return;
  }
}

double SumOfSquares(const float* vector, std::size_t count) {
  double lanes[kLanes] = {};
  for (std::size_t j = 0; j < count; j += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const double value = vector[j + lane];
      lanes[lane] += value * value;
    }
  }
  return Fold(lanes);
}

}  // namespace plain
}  // namespace tinylcm::classify
