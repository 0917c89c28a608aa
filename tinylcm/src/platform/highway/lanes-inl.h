// Sixteen lanes on vectors of any width, once for each instruction set: what rows.cc and int8.cc
// share. Included again for every target, so the guard is Highway's toggle.

#if defined(TINYLCM_PLATFORM_HIGHWAY_LANES_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef TINYLCM_PLATFORM_HIGHWAY_LANES_INL_H_
#undef TINYLCM_PLATFORM_HIGHWAY_LANES_INL_H_
#else
#define TINYLCM_PLATFORM_HIGHWAY_LANES_INL_H_
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>

HWY_BEFORE_NAMESPACE();
namespace tinylcm::platform_highway::HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

constexpr std::size_t kLanes = 16;
using D = hn::CappedTag<float, kLanes>;
using V = hn::Vec<D>;
constexpr std::size_t kWidth = hn::MaxLanes(D());
constexpr std::size_t kParts = kLanes / kWidth;

// How many rows are summed side by side: they share the loads of the query, hide each other's
// latency, and fold together. As many as there are registers for.
constexpr std::size_t kSideBySide = kWidth == 1 ? 1 : kWidth == 16 ? 8 : 4;

// Lane i takes lane i + 8, then i + 4, i + 2, i + 1: first whole vectors, then halves of one, and
// the last four by hand.
template <class DV>
HWY_INLINE hn::TFromD<DV> FoldVector(DV d, hn::Vec<DV> vector) {
  constexpr std::size_t width = hn::MaxLanes(DV());
#if HWY_TARGET != HWY_SCALAR  // Which has one lane, and so no halves.
  if constexpr (width > 4) {
    const hn::Half<DV> half;
    return FoldVector(half, hn::Add(hn::LowerHalf(half, vector), hn::UpperHalf(half, vector)));
  }
#endif
  HWY_ALIGN hn::TFromD<DV> lanes[width];
  hn::Store(vector, d, lanes);
  for (std::size_t half = width / 2; half > 0; half /= 2) {
    for (std::size_t lane = 0; lane < half; ++lane) lanes[lane] += lanes[lane + half];
  }
  return lanes[0];
}

// The parts of a sum become one vector: part i takes part i + half, and so on.
template <class Vec, std::size_t kCount>
HWY_INLINE Vec FoldParts(Vec (&parts)[kCount]) {
#pragma GCC unroll 16
  for (std::size_t half = kCount / 2; half > 0; half /= 2) {
#pragma GCC unroll 16
    for (std::size_t part = 0; part < half; ++part) {
      parts[part] = hn::Add(parts[part], parts[part + half]);
    }
  }
  return parts[0];
}

// Which sum has to stand at place i, so that FoldSideBySide gives them in order: i with its bits
// reversed, since every step puts the halves of two vectors into one.
constexpr std::size_t kReversed8[] = {0, 4, 2, 6, 1, 5, 3, 7};
constexpr std::size_t kReversed4[] = {0, 2, 1, 3};
constexpr std::size_t Reversed(std::size_t i) {
  return kSideBySide == 8 ? kReversed8[i] : kSideBySide == 4 ? kReversed4[i] : i;
}

#if HWY_TARGET != HWY_SCALAR

// Folds kSideBySide vectors at once, in the order of FoldVector: a step adds the halves of two
// vectors and leaves one, so that n vectors take about 2 n additions and not 4 n. Returns lane i of
// sums[Reversed(i)] folded. (a + b is b + a, to the bit.)
template <class DV>
HWY_INLINE auto FoldSideBySide(DV d, hn::Vec<DV> (&sums)[kSideBySide]) {
  const hn::RepartitionToWide<DV> wide;
  std::size_t left = kSideBySide;
#if HWY_MAX_BYTES >= 64
  left /= 2;  // Lane i and i + 8.
#pragma GCC unroll 8
  for (std::size_t i = 0; i < left; ++i) {
    const auto a = sums[2 * i];
    const auto b = sums[2 * i + 1];
    sums[i] = hn::Add(hn::ConcatLowerLower(d, b, a), hn::ConcatUpperUpper(d, b, a));
  }
#endif
#if HWY_MAX_BYTES >= 32
  left /= 2;  // Lane i and i + 4.
#pragma GCC unroll 8
  for (std::size_t i = 0; i < left; ++i) {
    const auto a = sums[2 * i];
    const auto b = sums[2 * i + 1];
    sums[i] = hn::Add(hn::OddEvenBlocks(b, a), hn::SwapAdjacentBlocks(hn::OddEvenBlocks(a, b)));
  }
#endif
  left /= 2;  // Lane i and i + 2.
#pragma GCC unroll 8
  for (std::size_t i = 0; i < left; ++i) {
    const auto a = hn::BitCast(wide, sums[2 * i]);
    const auto b = hn::BitCast(wide, sums[2 * i + 1]);
    sums[i] = hn::Add(hn::BitCast(d, hn::InterleaveLower(wide, a, b)),
                      hn::BitCast(d, hn::InterleaveUpper(wide, a, b)));
  }
#if HWY_MAX_BYTES >= 32
  // Lane i and i + 1. One vector is left, half of whose lanes say the same as their neighbours.
  const auto both = hn::Add(sums[0], hn::Shuffle2301(sums[0]));
  return hn::LowerHalf(hn::Half<DV>(), hn::ConcatEven(d, both, both));
#else
  return hn::Add(hn::OddEven(sums[1], sums[0]), hn::Shuffle2301(hn::OddEven(sums[0], sums[1])));
#endif
}

#endif  // HWY_TARGET != HWY_SCALAR

}  // namespace tinylcm::platform_highway::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
