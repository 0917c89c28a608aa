// The arithmetic of classify/distance.h, classify/select.h and feature/project.h by Google Highway,
// compiled once for each instruction set and chosen at run time.
//
// Sixteen lanes whatever the vector's width (one AVX-512 register, two AVX2, four NEON or SSE),
// folded in halves, multiply and add kept apart: the same bits everywhere. SVE is left out: its
// width is not known when compiling, and the boards in question have NEON.

#include <cstddef>
#include <limits>

#include "tinylcm/classify/distance.h"
#include "tinylcm/classify/instruction_set.h"
#include "tinylcm/classify/select.h"
#include "tinylcm/feature/project.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tinylcm/src/platform/highway/rows.cc"
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "tinylcm/src/platform/highway/lanes-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tinylcm::platform_highway::HWY_NAMESPACE {

// A term is added up over a row; Finish makes the sum what was asked for, on whole vectors.
struct Dot {
  HWY_INLINE V operator()(V a, V b) const { return hn::Mul(a, b); }
  template <class DV, class VV>
  HWY_INLINE VV Finish(DV, VV sum) const {
    return sum;
  }
};
struct Cosine : Dot {
  // Rounding may carry a cosine past 1.
  template <class DV, class VV>
  HWY_INLINE VV Finish(DV d, VV sum) const {
    return hn::Max(hn::Zero(d), hn::Sub(hn::Set(d, 1.0f), sum));
  }
};
struct Euclidean {
  HWY_INLINE V operator()(V a, V b) const {
    const V off = hn::Sub(a, b);
    return hn::Mul(off, off);
  }
  template <class DV, class VV>
  HWY_INLINE VV Finish(DV, VV sum) const {
    return hn::Sqrt(sum);
  }
};
struct Manhattan {
  HWY_INLINE V operator()(V a, V b) const { return hn::Abs(hn::Sub(a, b)); }
  template <class DV, class VV>
  HWY_INLINE VV Finish(DV, VV sum) const {
    return sum;
  }
};

// kSideBySide rows, of which the first `count` are wanted. The inner loops are unrolled by order,
// or the sums would live in memory instead of registers.
template <typename Term>
HWY_INLINE void Block(const float* HWY_RESTRICT query, std::size_t stride, std::size_t count,
                      const float* const (&rows)[kSideBySide], float* HWY_RESTRICT out) {
  const D d;
  const Term term;
  V sums[kSideBySide][kParts];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kSideBySide; ++i) {
#pragma GCC unroll 16
    for (std::size_t part = 0; part < kParts; ++part) sums[i][part] = hn::Zero(d);
  }
  for (std::size_t j = 0; j < stride; j += kLanes) {
#pragma GCC unroll 16
    for (std::size_t part = 0; part < kParts; ++part) {
      const V q = hn::LoadU(d, query + j + part * kWidth);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < kSideBySide; ++i) {
        const V r = hn::LoadU(d, rows[i] + j + part * kWidth);
        V& sum = sums[Reversed(i)][part];
        sum = hn::Add(sum, term(q, r));
      }
    }
  }
#if HWY_TARGET == HWY_SCALAR
  (void)count;  // One row a block, and it is wanted.
  const V sum = FoldParts(sums[0]);
  hn::Store(term.Finish(d, sum), d, out);
#else
  V folded[kSideBySide];
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kSideBySide; ++i) folded[i] = FoldParts(sums[i]);
  const hn::CappedTag<float, kSideBySide> narrow;
  const auto finished = term.Finish(narrow, FoldSideBySide(d, folded));
  if (count >= kSideBySide) {
    hn::StoreU(finished, narrow, out);
    return;
  }
  HWY_ALIGN float lanes[kSideBySide];
  hn::Store(finished, narrow, lanes);
  for (std::size_t i = 0; i < count; ++i) out[i] = lanes[i];
#endif
}

// `row_at(i)` is where row i starts.
template <typename Term, class RowAt>
HWY_INLINE void Blocks(const float* query, std::size_t stride, std::size_t count,
                       const RowAt& row_at, float* out) {
  const float* rows[kSideBySide];
  std::size_t first = 0;
  for (; first + kSideBySide <= count; first += kSideBySide) {
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kSideBySide; ++i) rows[i] = row_at(first + i);
    Block<Term>(query, stride, kSideBySide, rows, out + first);
  }
  if (first == count) return;
  // Beyond the last row the last one once more: its numbers are near, and nobody looks.
  for (std::size_t i = 0; i < kSideBySide; ++i) rows[i] = row_at(HWY_MIN(first + i, count - 1));
  Block<Term>(query, stride, count - first, rows, out + first);
}

template <class RowAt>
HWY_INLINE void Measure(classify::Metric metric, const float* query, std::size_t stride,
                        std::size_t count, const RowAt& row_at, float* out) {
  switch (metric) {
    case classify::Metric::kCosine:
      return Blocks<Cosine>(query, stride, count, row_at, out);
    case classify::Metric::kEuclidean:
      return Blocks<Euclidean>(query, stride, count, row_at, out);
    case classify::Metric::kManhattan:
      return Blocks<Manhattan>(query, stride, count, row_at, out);
  }
}

void DotRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
             float* out) {
  Blocks<Dot>(query, stride, count, [&](std::size_t i) { return rows + i * stride; }, out);
}

void MeasureRows(classify::Metric metric, const float* query, const float* rows, std::size_t count,
                 std::size_t stride, float* out) {
  Measure(metric, query, stride, count, [&](std::size_t i) { return rows + i * stride; }, out);
}

void MeasureChosen(classify::Metric metric, const float* query, const float* rows,
                   std::size_t stride, const std::uint32_t* which, std::size_t count, float* out) {
  Measure(
      metric, query, stride, count, [&](std::size_t i) { return rows + which[i] * stride; }, out);
}

double SumOfSquares(const float* vector, std::size_t count) {
  using DD = hn::CappedTag<double, kLanes>;
  const DD d;
  const hn::Rebind<float, DD> single;
  constexpr std::size_t width = hn::MaxLanes(DD());
  constexpr std::size_t parts = kLanes / width;
  hn::Vec<DD> sums[parts];
#pragma GCC unroll 16
  for (std::size_t part = 0; part < parts; ++part) sums[part] = hn::Zero(d);
  for (std::size_t j = 0; j < count; j += kLanes) {
#pragma GCC unroll 16
    for (std::size_t part = 0; part < parts; ++part) {
      const auto value = hn::PromoteTo(d, hn::LoadU(single, vector + j + part * width));
      sums[part] = hn::Add(sums[part], hn::Mul(value, value));
    }
  }
  return FoldVector(d, FoldParts(sums));
}

void Scale(const float* vector, float factor, std::size_t count, float* out) {
  const D d;
  for (std::size_t j = 0; j < count; j += kWidth) {
    hn::StoreU(hn::Mul(hn::LoadU(d, vector + j), hn::Set(d, factor)), d, out + j);
  }
}

void Standardise(const float* raw, const float* mean, const float* scale, const float* off,
                 std::size_t count, float* out) {
  const D d;
  std::size_t i = 0;
  for (; i + kWidth <= count; i += kWidth) {
    const V moved = hn::Sub(hn::LoadU(d, raw + i), hn::LoadU(d, mean + i));
    const V scaled = hn::Div(moved, hn::LoadU(d, scale + i));
    hn::StoreU(off == nullptr ? scaled : hn::Sub(scaled, hn::LoadU(d, off + i)), d, out + i);
  }
  for (; i < count; ++i) {
    out[i] = (raw[i] - mean[i]) / scale[i] - (off == nullptr ? 0.0f : off[i]);
  }
}

float LimitOfLeast(const float* values, std::size_t count, std::size_t k) {
  const D d;
  V least[kParts];
#pragma GCC unroll 16
  for (std::size_t part = 0; part < kParts; ++part) {
    least[part] = hn::Set(d, std::numeric_limits<float>::infinity());
  }
  for (std::size_t j = 0; j < count; j += kLanes) {
#pragma GCC unroll 16
    for (std::size_t part = 0; part < kParts; ++part) {
      least[part] = hn::Min(least[part], hn::LoadU(d, values + j + part * kWidth));
    }
  }
  // Of each runner, how many are not above it; the least of those that k reach is the limit.
  HWY_ALIGN float runners[kLanes];
  V reach[kParts];
#pragma GCC unroll 16
  for (std::size_t part = 0; part < kParts; ++part) {
    hn::Store(least[part], d, runners + part * kWidth);
    reach[part] = hn::Zero(d);
  }
  const V one = hn::Set(d, 1.0f);
#pragma GCC unroll 16
  for (std::size_t runner = 0; runner < kLanes; ++runner) {
    const V other = hn::Set(d, runners[runner]);
#pragma GCC unroll 16
    for (std::size_t part = 0; part < kParts; ++part) {
      reach[part] = hn::Add(reach[part], hn::IfThenElseZero(hn::Le(other, least[part]), one));
    }
  }
  const V enough = hn::Set(d, static_cast<float>(k));
  V limit = hn::Set(d, std::numeric_limits<float>::infinity());
#pragma GCC unroll 16
  for (std::size_t part = 0; part < kParts; ++part) {
    limit = hn::IfThenElse(hn::Ge(reach[part], enough), hn::Min(limit, least[part]), limit);
  }
  return hn::GetLane(hn::MinOfLanes(d, limit));
}

std::size_t NotAbove(const float* values, std::size_t count, float limit, std::uint32_t* places) {
  const D d;
  const V most = hn::Set(d, limit);
  std::size_t found = 0;
#if HWY_MAX_BYTES >= 64
  // Packed in the register, for packing while storing is slow on some machines.
  const hn::RebindToUnsigned<D> places_tag;
  auto place = hn::Iota(places_tag, 0);
  const auto step = hn::Set(places_tag, kLanes);
  for (std::size_t j = 0; j < count; j += kLanes) {
    const auto mask = hn::RebindMask(places_tag, hn::Le(hn::LoadU(d, values + j), most));
    hn::StoreU(hn::Compress(place, mask), places_tag, places + found);
    found += hn::CountTrue(places_tag, mask);
    place = hn::Add(place, step);
  }
#else
  for (std::size_t j = 0; j < count; j += kLanes) {
    V least = hn::LoadU(d, values + j);
#pragma GCC unroll 16
    for (std::size_t part = 1; part < kParts; ++part) {
      least = hn::Min(least, hn::LoadU(d, values + j + part * kWidth));
    }
    if (hn::AllFalse(d, hn::Le(least, most))) continue;
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      places[found] = static_cast<std::uint32_t>(j + lane);
      found += values[j + lane] <= limit ? 1 : 0;
    }
  }
#endif
  return found;
}

const char* InstructionSet() { return hwy::TargetName(HWY_TARGET); }

}  // namespace tinylcm::platform_highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace tinylcm::platform_highway {
HWY_EXPORT(DotRows);
HWY_EXPORT(MeasureRows);
HWY_EXPORT(MeasureChosen);
HWY_EXPORT(SumOfSquares);
HWY_EXPORT(Scale);
HWY_EXPORT(Standardise);
HWY_EXPORT(LimitOfLeast);
HWY_EXPORT(NotAbove);
HWY_EXPORT(InstructionSet);

namespace {
// Beside the exported names, which the macro has to find.
auto Dots() { return HWY_DYNAMIC_DISPATCH(DotRows); }
auto Rows() { return HWY_DYNAMIC_DISPATCH(MeasureRows); }
auto Chosen() { return HWY_DYNAMIC_DISPATCH(MeasureChosen); }
auto Squares() { return HWY_DYNAMIC_DISPATCH(SumOfSquares); }
auto Scaled() { return HWY_DYNAMIC_DISPATCH(Scale); }
auto Standardised() { return HWY_DYNAMIC_DISPATCH(Standardise); }
auto Limit() { return HWY_DYNAMIC_DISPATCH(LimitOfLeast); }
auto Places() { return HWY_DYNAMIC_DISPATCH(NotAbove); }
auto Instructions() { return HWY_DYNAMIC_DISPATCH(InstructionSet); }
}  // namespace
}  // namespace tinylcm::platform_highway

namespace tinylcm::classify {

void DotRows(const float* query, const float* rows, std::size_t count, std::size_t stride,
             float* out) {
  platform_highway::Dots()(query, rows, count, stride, out);
}

void MeasureRows(Metric metric, const float* query, const float* rows, std::size_t count,
                 std::size_t stride, float* out) {
  platform_highway::Rows()(metric, query, rows, count, stride, out);
}

void MeasureChosen(Metric metric, const float* query, const float* rows, std::size_t stride,
                   const std::uint32_t* which, std::size_t count, float* out) {
  platform_highway::Chosen()(metric, query, rows, stride, which, count, out);
}

double SumOfSquares(const float* vector, std::size_t count) {
  return platform_highway::Squares()(vector, count);
}

void Scale(const float* vector, float factor, std::size_t count, float* out) {
  platform_highway::Scaled()(vector, factor, count, out);
}

float LimitOfLeast(const float* values, std::size_t count, std::size_t k) {
  return platform_highway::Limit()(values, count, k);
}

std::size_t NotAbove(const float* values, std::size_t count, float limit, std::uint32_t* places) {
  return platform_highway::Places()(values, count, limit, places);
}

const char* InstructionSet() { return platform_highway::Instructions()(); }

}  // namespace tinylcm::classify

namespace tinylcm::feature {

void Project(const float* vector, const float* rows, std::size_t count, std::size_t stride,
             float* out) {
  platform_highway::Dots()(vector, rows, count, stride, out);
}

void Standardise(const float* raw, const float* mean, const float* scale, const float* off,
                 std::size_t count, float* out) {
  platform_highway::Standardised()(raw, mean, scale, off, count, out);
}

}  // namespace tinylcm::feature

#endif  // HWY_ONCE
