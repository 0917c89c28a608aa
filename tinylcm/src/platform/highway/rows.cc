// The arithmetic of classify/distance.h and feature/project.h by Google Highway, compiled once for
// each instruction set and chosen at run time.
//
// Sixteen lanes whatever the vector's width (one AVX-512 register, two AVX2, four NEON or SSE),
// folded in halves, multiply and add kept apart: the same bits everywhere. SVE is left out: its
// width is not known when compiling, and the boards in question have NEON.

#include <cstddef>

#include "tinylcm/classify/distance.h"
#include "tinylcm/feature/project.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tinylcm/src/platform/highway/rows.cc"
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tinylcm::platform_highway::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kLanes = 16;
using D = hn::CappedTag<float, kLanes>;
using V = hn::Vec<D>;
constexpr std::size_t kWidth = hn::MaxLanes(D());
constexpr std::size_t kParts = kLanes / kWidth;

struct Dot {
  HWY_INLINE V operator()(V a, V b) const { return hn::Mul(a, b); }
};
struct Squared {
  HWY_INLINE V operator()(V a, V b) const {
    const V off = hn::Sub(a, b);
    return hn::Mul(off, off);
  }
};
struct Absolute {
  HWY_INLINE V operator()(V a, V b) const { return hn::Abs(hn::Sub(a, b)); }
};

// Lane i takes lane i + 8, then i + 4, i + 2, i + 1: first whole vectors, then halves of one, and
// the last four by hand.
template <class DV>
HWY_INLINE float FoldVector(DV d, hn::Vec<DV> vector) {
  constexpr std::size_t width = hn::MaxLanes(DV());
#if HWY_TARGET != HWY_SCALAR  // Which has one lane, and so no halves.
  if constexpr (width > 4) {
    const hn::Half<DV> half;
    return FoldVector(half, hn::Add(hn::LowerHalf(half, vector), hn::UpperHalf(half, vector)));
  }
#endif
  HWY_ALIGN float lanes[width];
  hn::Store(vector, d, lanes);
  for (std::size_t half = width / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

HWY_INLINE float Fold(V (&parts)[kParts]) {
#pragma GCC unroll 16
  for (std::size_t half = kParts / 2; half > 0; half /= 2) {
#pragma GCC unroll 16
    for (std::size_t part = 0; part < half; ++part) {
      parts[part] = hn::Add(parts[part], parts[part + half]);
    }
  }
  return FoldVector(D(), parts[0]);
}

// Four rows at a time: they share the loads of the query, and four sums hide each other's latency.
// The inner loops are unrolled by order, or the sums would live in memory instead of registers.
template <typename Term, std::size_t kRows>
HWY_INLINE void Block(const float* HWY_RESTRICT query, const float* HWY_RESTRICT rows,
                      std::size_t stride, float* HWY_RESTRICT out) {
  const D d;
  const Term term;
  V sums[kRows][kParts];
#pragma GCC unroll 16
  for (std::size_t row = 0; row < kRows; ++row) {
#pragma GCC unroll 16
    for (std::size_t part = 0; part < kParts; ++part) sums[row][part] = hn::Zero(d);
  }
  for (std::size_t j = 0; j < stride; j += kLanes) {
#pragma GCC unroll 16
    for (std::size_t part = 0; part < kParts; ++part) {
      const V q = hn::LoadU(d, query + j + part * kWidth);
#pragma GCC unroll 16
      for (std::size_t row = 0; row < kRows; ++row) {
        const V r = hn::LoadU(d, rows + row * stride + j + part * kWidth);
        sums[row][part] = hn::Add(sums[row][part], term(q, r));
      }
    }
  }
#pragma GCC unroll 16
  for (std::size_t row = 0; row < kRows; ++row) out[row] = Fold(sums[row]);
}

template <typename Term>
HWY_INLINE void ForRows(const float* query, const float* rows, std::size_t count,
                        std::size_t stride, float* out) {
  std::size_t row = 0;
  for (; row + 4 <= count; row += 4) Block<Term, 4>(query, rows + row * stride, stride, out + row);
  for (; row < count; ++row) Block<Term, 1>(query, rows + row * stride, stride, out + row);
}

void DotRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
             float* out) {
  ForRows<Dot>(query, rows, count, stride, out);
}
void SquaredRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
                 float* out) {
  ForRows<Squared>(query, rows, count, stride, out);
}
void AbsoluteRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
                  float* out) {
  ForRows<Absolute>(query, rows, count, stride, out);
}

}  // namespace tinylcm::platform_highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace tinylcm::platform_highway {
HWY_EXPORT(DotRows);
HWY_EXPORT(SquaredRows);
HWY_EXPORT(AbsoluteRows);

void CallDotRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
                 float* out) {
  HWY_DYNAMIC_DISPATCH(DotRows)(query, rows, count, stride, out);
}
void CallSquaredRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
                     float* out) {
  HWY_DYNAMIC_DISPATCH(SquaredRows)(query, rows, count, stride, out);
}
void CallAbsoluteRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
                      float* out) {
  HWY_DYNAMIC_DISPATCH(AbsoluteRows)(query, rows, count, stride, out);
}
}  // namespace tinylcm::platform_highway

namespace tinylcm::classify {
void DotRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
             float* out) {
  platform_highway::CallDotRows(query, rows, count, stride, out);
}
void SquaredRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
                 float* out) {
  platform_highway::CallSquaredRows(query, rows, count, stride, out);
}
void AbsoluteRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
                  float* out) {
  platform_highway::CallAbsoluteRows(query, rows, count, stride, out);
}
}  // namespace tinylcm::classify

namespace tinylcm::feature {
void Project(const float* vector, const float* rows, std::size_t count, std::size_t stride,
             float* out) {
  platform_highway::CallDotRows(vector, rows, count, stride, out);
}
}  // namespace tinylcm::feature

#endif  // HWY_ONCE
