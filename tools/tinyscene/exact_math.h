// The few functions the drawing needs, from IEEE 754 operations alone (add, multiply, divide,
// square root). The C library's own differ in the last bit from one machine to the next, and one
// bit is enough to round a pixel the other way.

#pragma once

#include <cstdint>

#include "base/random.h"

namespace tinyscene {

// e^x for x in [-50, 0]; 1e-15 relative.
inline double Exp(double x) {
  // e^x = (e^(x/1024))^1024; the series of the small number needs seven terms.
  const double y = x / 1024.0;
  double power =
      1 + y * (1 + y / 2 * (1 + y / 3 * (1 + y / 4 * (1 + y / 5 * (1 + y / 6 * (1 + y / 7))))));
  for (int i = 0; i < 10; ++i) power *= power;
  return power;
}

struct SinCos {
  double sin;
  double cos;
};

// For |angle| <= 1.6 radians; 1e-13 absolute. Taylor's series of the half angle, then doubled.
inline SinCos SinCosOf(double angle) {
  const double x = angle / 2;
  const double q = x * x;
  const double s =
      x * (1 - q / 6 * (1 - q / 20 * (1 - q / 42 * (1 - q / 72 * (1 - q / 110 * (1 - q / 156))))));
  const double c =
      1 -
      q / 2 *
          (1 - q / 12 * (1 - q / 30 * (1 - q / 56 * (1 - q / 90 * (1 - q / 132 * (1 - q / 182))))));
  return {.sin = 2 * s * c, .cos = 1 - 2 * s * s};
}

// The fifth root of x in [0, 1], by Newton's method from above.
inline double FifthRoot(double x) {
  if (x <= 0) return 0;
  double root = 1;
  for (int i = 0; i < 200; ++i) {
    const double fourth = root * root * root * root;
    const double next = (4 * root + x / fourth) / 5;
    if (next >= root) break;
    root = next;
  }
  return root;
}

// x^2.2, the gamma of the frames, for x in [0, 1].
inline double PowerOf22(double x) { return x * x * FifthRoot(x); }

// A generator that depends only on (seed, number, stream): frame 7's noise is the same whether or
// not frame 6 was ever drawn.
inline base::Random RandomFor(std::uint64_t seed, std::uint64_t number, std::uint64_t stream) {
  base::Random of_seed(seed ^ (stream * 0xd6e8feb86659fd93u));
  base::Random of_number(of_seed.Next() + number * 0x9e6c63d0676a9a99u);
  return base::Random(of_number.Next());
}

// Nearly standard normal: the sum of the eight bytes of a number, centred. Each byte is uniform on
// 0..255 with variance (256^2 - 1) / 12, so the sum has mean 1020 and variance 43690.
inline double NearlyNormal(base::Random& random) {
  const std::uint64_t bits = random.Next();
  constexpr std::uint64_t kOddBytes = 0x00ff00ff00ff00ffu;
  const std::uint64_t pairs = (bits & kOddBytes) + ((bits >> 8) & kOddBytes);
  const std::uint64_t sum = (pairs * 0x0001000100010001u) >> 48;
  return (static_cast<double>(sum) - 1020.0) * (1.0 / 209.02153);  // 209.02153^2 = 43690
}

}  // namespace tinyscene
