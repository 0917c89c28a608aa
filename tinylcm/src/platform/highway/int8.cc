// The arithmetic of classify/int8_rows.h and of bytes in feature/project.h by Google Highway,
// compiled once for each instruction set and chosen at run time. Sums of whole numbers are exact,
// so every way to add them up will do:
//   AVX-512 with VNNI: four products of bytes an instruction, 64 of them at once;
//   NEON: 127 * 127 fits an int16 twice, so two products are added before the sum is widened;
//   otherwise: bytes widened to 16 bits, and pairs of products (pmaddwd).

#include <cmath>
#include <cstddef>

#include "tinylcm/classify/int8_rows.h"

#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tinylcm/src/platform/highway/int8.cc"
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128)
// clang-format off
#include <hwy/foreach_target.h>
#include <hwy/highway.h>
#include "tinylcm/src/platform/highway/lanes-inl.h"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace tinylcm::platform_highway::HWY_NAMESPACE {

// int32 lanes as wide as the floats of lanes-inl.h.
using DI = hn::RebindToSigned<D>;
using VI = hn::Vec<DI>;

// Sums of kSideBySide rows become numbers; the first `count` are wanted.
HWY_INLINE void StoreSums(VI (&sums)[kSideBySide], std::int32_t less, std::size_t count,
                          std::int32_t* HWY_RESTRICT out) {
#if HWY_TARGET == HWY_SCALAR
  *out = hn::GetLane(sums[0]) - less;
  (void)count;
#else
  const hn::CappedTag<std::int32_t, kSideBySide> narrow;
  const auto dots = hn::Sub(FoldSideBySide(DI(), sums), hn::Set(narrow, less));
  if (count >= kSideBySide) {
    hn::StoreU(dots, narrow, out);
    return;
  }
  HWY_ALIGN std::int32_t lanes[kSideBySide];
  hn::Store(dots, narrow, lanes);
  for (std::size_t i = 0; i < count; ++i) out[i] = lanes[i];
#endif
}

#if HWY_TARGET == HWY_SCALAR

constexpr std::size_t kStep = 1;
HWY_INLINE void AddProducts(const std::int8_t* HWY_RESTRICT query,
                            const std::int8_t* const (&rows)[kSideBySide], std::size_t j,
                            VI (&sums)[kSideBySide]) {
  sums[0] = hn::Add(sums[0], hn::Set(DI(), static_cast<std::int32_t>(query[j]) * rows[0][j]));
}

#elif HWY_TARGET == HWY_NEON

constexpr std::size_t kStep = 32;
HWY_INLINE void AddProducts(const std::int8_t* HWY_RESTRICT query,
                            const std::int8_t* const (&rows)[kSideBySide], std::size_t j,
                            VI (&sums)[kSideBySide]) {
  const int8x16_t q0 = vld1q_s8(query + j);
  const int8x16_t q1 = vld1q_s8(query + j + 16);
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kSideBySide; ++i) {
    const int8x16_t r0 = vld1q_s8(rows[i] + j);
    const int8x16_t r1 = vld1q_s8(rows[i] + j + 16);
    const int16x8_t a = vmlal_high_s8(vmull_s8(vget_low_s8(q0), vget_low_s8(r0)), q0, r0);
    const int16x8_t b = vmlal_high_s8(vmull_s8(vget_low_s8(q1), vget_low_s8(r1)), q1, r1);
    sums[i] = VI(vpadalq_s16(vpadalq_s16(sums[i].raw, a), b));
  }
}

#else

constexpr std::size_t kStep = 2 * kWidth;
HWY_INLINE void AddProducts(const std::int8_t* HWY_RESTRICT query,
                            const std::int8_t* const (&rows)[kSideBySide], std::size_t j,
                            VI (&sums)[kSideBySide]) {
  const hn::Repartition<std::int16_t, DI> wide;
  const hn::Rebind<std::int8_t, decltype(wide)> narrow;
  const auto q = hn::PromoteTo(wide, hn::LoadU(narrow, query + j));
#pragma GCC unroll 16
  for (std::size_t i = 0; i < kSideBySide; ++i) {
    const auto r = hn::PromoteTo(wide, hn::LoadU(narrow, rows[i] + j));
    VI unused = hn::Zero(DI());
    sums[i] = hn::ReorderWidenMulAccumulate(DI(), q, r, sums[i], unused);
  }
}

#endif

HWY_INLINE void DotsByWidening(const std::int8_t* query, const std::int8_t* rows, std::size_t count,
                               std::size_t stride, std::int32_t* out) {
  for (std::size_t first = 0; first < count; first += kSideBySide) {
    const std::int8_t* at[kSideBySide];
    VI sums[kSideBySide];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kSideBySide; ++i) {
      at[i] = rows + (first + HWY_MIN(Reversed(i), count - first - 1)) * stride;
      sums[i] = hn::Zero(DI());
    }
    for (std::size_t j = 0; j < stride; j += kStep) AddProducts(query, at, j, sums);
    StoreSums(sums, 0, count - first, out + first);
  }
}

#if HWY_TARGET == HWY_AVX3

// The instruction takes bytes without a sign on one side: row + 128. What that adds, 128 times the
// sum of the query, comes off at the end.
__attribute__((target(HWY_TARGET_STR ",avx512vnni")))  // clang takes these and no others.
void DotsByVnni(const std::int8_t* query, const std::int8_t* rows, std::size_t count,
                std::size_t stride, std::int32_t* out) {
  const __m512i flip = _mm512_set1_epi8(static_cast<char>(0x80));
  __m512i ones = _mm512_setzero_si512();
  for (std::size_t j = 0; j < stride; j += 64) {
    ones = _mm512_dpbusd_epi32(ones, _mm512_set1_epi8(1), _mm512_loadu_si512(query + j));
  }
  const std::int32_t less = 128 * _mm512_reduce_add_epi32(ones);
  for (std::size_t first = 0; first < count; first += kSideBySide) {
    const std::int8_t* at[kSideBySide];
    VI sums[kSideBySide];
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kSideBySide; ++i) {
      at[i] = rows + (first + HWY_MIN(Reversed(i), count - first - 1)) * stride;
      sums[i] = hn::Zero(DI());
    }
    for (std::size_t j = 0; j < stride; j += 64) {
      const __m512i q = _mm512_loadu_si512(query + j);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < kSideBySide; ++i) {
        const __m512i r = _mm512_xor_si512(_mm512_loadu_si512(at[i] + j), flip);
        sums[i] = VI{_mm512_dpbusd_epi32(sums[i].raw, r, q)};
      }
    }
    StoreSums(sums, less, count - first, out + first);
  }
}

#endif

void DotInt8Rows(const std::int8_t* query, const std::int8_t* rows, std::size_t count,
                 std::size_t stride, std::int32_t* out) {
#if HWY_TARGET == HWY_AVX3
  static const bool has_vnni = __builtin_cpu_supports("avx512vnni") != 0;
  if (has_vnni) return DotsByVnni(query, rows, count, stride, out);
#endif
  DotsByWidening(query, rows, count, stride, out);
}

void ProjectWhole(const std::int16_t* vector, const std::int8_t* rows, std::size_t count,
                  std::size_t stride, std::int32_t* out) {
  for (std::size_t first = 0; first < count; first += kSideBySide) {
    const std::int8_t* at[kSideBySide];
    VI sums[kSideBySide];
    VI more[kSideBySide];  // Where products of a half go that does not fit; often stays zero.
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kSideBySide; ++i) {
      at[i] = rows + (first + HWY_MIN(Reversed(i), count - first - 1)) * stride;
      sums[i] = more[i] = hn::Zero(DI());
    }
#if HWY_TARGET == HWY_SCALAR
    for (std::size_t j = 0; j < stride; ++j) {
      sums[0] = hn::Add(sums[0], hn::Set(DI(), static_cast<std::int32_t>(vector[j]) * at[0][j]));
    }
#else
    const hn::Repartition<std::int16_t, DI> wide;
    const hn::Rebind<std::int8_t, decltype(wide)> narrow;
    for (std::size_t j = 0; j < stride; j += 2 * kWidth) {
      const auto v = hn::LoadU(wide, vector + j);
#pragma GCC unroll 16
      for (std::size_t i = 0; i < kSideBySide; ++i) {
        const auto r = hn::PromoteTo(wide, hn::LoadU(narrow, at[i] + j));
        sums[i] = hn::ReorderWidenMulAccumulate(DI(), v, r, sums[i], more[i]);
      }
    }
#endif
#pragma GCC unroll 16
    for (std::size_t i = 0; i < kSideBySide; ++i) sums[i] = hn::Add(sums[i], more[i]);
    StoreSums(sums, 0, count - first, out + first);
  }
}

HWY_INLINE float Largest(const float* vector, std::size_t count) {
  const D d;
  V most = hn::Zero(d);
  for (std::size_t j = 0; j < count; j += kWidth) {
    most = hn::Max(most, hn::Abs(hn::LoadU(d, vector + j)));
  }
  return hn::GetLane(hn::MaxOfLanes(d, most));
}

// Below this a scale would lose bits, or its inverse be infinite.
constexpr float kTiny = 1e-30f;

float RoundToWhole(const float* vector, std::size_t count, std::int32_t most, std::int16_t* whole) {
  const D d;
  const DI di;
  const hn::Rebind<std::int16_t, D> d16;
  const float largest = Largest(vector, count);
  const bool is_tiny = largest < kTiny;
  const V factor = hn::Set(d, is_tiny ? 0.0f : static_cast<float>(most) / largest);
  for (std::size_t j = 0; j < count; j += kWidth) {
    const auto rounded = hn::NearestInt(hn::Mul(hn::LoadU(d, vector + j), factor));
    const auto within = hn::Min(hn::Max(rounded, hn::Set(di, -most)), hn::Set(di, most));
    hn::StoreU(hn::DemoteTo(d16, within), d16, whole + j);
  }
  return is_tiny ? 0.0f : largest / static_cast<float>(most);
}

classify::Coarse Coarsen(const float* vector, std::size_t count, std::size_t stride,
                         std::int8_t* bytes) {
  const D d;
  const DI di;
  const hn::Rebind<std::int8_t, D> d8;
  const float largest = Largest(vector, count);
  for (std::size_t j = count; j < stride; ++j) bytes[j] = 0;
  const bool is_tiny = largest < kTiny;  // All of it is rest then.
  const float scale = is_tiny ? 0.0f : largest / 127.0f;
  const float factor = is_tiny ? 0.0f : 127.0f / largest;
  const V times = hn::Set(d, factor);
  // In units of the scale no square is too small.
  V squares = hn::Zero(d);
  for (std::size_t j = 0; j < count; j += kWidth) {
    const V scaled = hn::Mul(hn::LoadU(d, vector + j), times);
    const auto whole =
        hn::Min(hn::Max(hn::NearestInt(scaled), hn::Set(di, -127)), hn::Set(di, 127));
    hn::StoreU(hn::DemoteTo(d8, whole), d8, bytes + j);
    const V off = hn::Sub(scaled, hn::ConvertTo(d, whole));
    squares = hn::Add(squares, hn::Mul(off, off));
  }
  // Roundings: 127 * 2^-22 and less a number in units of the scale, 2^-12 of the sum of squares.
  const auto numbers = static_cast<float>(count);
  const float off = std::sqrt(hn::GetLane(hn::SumOfLanes(d, squares)));
  const float rest = is_tiny ? 1.001f * largest * std::sqrt(numbers)
                             : scale * (1.001f * off + 4e-5f * std::sqrt(numbers));
  return {.scale = scale, .rest = rest};
}

void BoundRows(const classify::BoundTerms& terms, const std::int32_t* dots, const float* scale,
               const float* rest, const float* length, const float* square, std::size_t count,
               float* low, float* high) {
  const D d;
  const DI di;
  const V offset = hn::Set(d, terms.offset);
  const V factor = hn::Set(d, terms.factor);
  const V query_rest = hn::Set(d, terms.query_rest);
  const V query_length = hn::Set(d, terms.query_length);
  const V slack = hn::Set(d, terms.slack);
  const V slack_share = hn::Set(d, terms.slack_share);
  const V zero = hn::Zero(d);
  for (std::size_t i = 0; i < count; i += kWidth) {
    const V own = hn::LoadU(d, square + i);
    const V dot = hn::Mul(hn::LoadU(d, scale + i), hn::ConvertTo(d, hn::LoadU(di, dots + i)));
    const V middle = hn::Add(hn::Add(offset, own), hn::Mul(factor, dot));
    const V radius = hn::Add(hn::Add(hn::Mul(query_rest, hn::LoadU(d, length + i)),
                                     hn::Mul(query_length, hn::LoadU(d, rest + i))),
                             hn::Add(slack, hn::Mul(slack_share, own)));
    hn::StoreU(hn::Max(zero, hn::Sub(middle, radius)), d, low + i);
    hn::StoreU(hn::Max(zero, hn::Add(middle, radius)), d, high + i);
  }
}

}  // namespace tinylcm::platform_highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE

namespace tinylcm::platform_highway {
HWY_EXPORT(DotInt8Rows);
HWY_EXPORT(Coarsen);
HWY_EXPORT(BoundRows);
HWY_EXPORT(ProjectWhole);
HWY_EXPORT(RoundToWhole);

namespace {
auto Int8Dots() { return HWY_DYNAMIC_DISPATCH(DotInt8Rows); }
auto Coarsened() { return HWY_DYNAMIC_DISPATCH(Coarsen); }
auto Bounded() { return HWY_DYNAMIC_DISPATCH(BoundRows); }
auto Projected() { return HWY_DYNAMIC_DISPATCH(ProjectWhole); }
auto Rounded() { return HWY_DYNAMIC_DISPATCH(RoundToWhole); }
}  // namespace
}  // namespace tinylcm::platform_highway

namespace tinylcm::classify {

void DotInt8Rows(const std::int8_t* query, const std::int8_t* rows, std::size_t count,
                 std::size_t stride, std::int32_t* out) {
  platform_highway::Int8Dots()(query, rows, count, stride, out);
}

Coarse Coarsen(const float* vector, std::size_t count, std::size_t stride, std::int8_t* bytes) {
  return platform_highway::Coarsened()(vector, count, stride, bytes);
}

void BoundRows(const BoundTerms& terms, const std::int32_t* dots, const float* scale,
               const float* rest, const float* length, const float* square, std::size_t count,
               float* low, float* high) {
  platform_highway::Bounded()(terms, dots, scale, rest, length, square, count, low, high);
}

}  // namespace tinylcm::classify

namespace tinylcm::feature {

float RoundToWhole(const float* vector, std::size_t count, std::int32_t most, std::int16_t* whole) {
  return platform_highway::Rounded()(vector, count, most, whole);
}

void ProjectWhole(const std::int16_t* vector, const std::int8_t* rows, std::size_t count,
                  std::size_t stride, std::int32_t* out) {
  platform_highway::Projected()(vector, rows, count, stride, out);
}

}  // namespace tinylcm::feature

#endif  // HWY_ONCE
