// Random: a small seeded generator (SplitMix64, Steele et al. 2014) for everything that must repeat:
// same seed, same numbers, on every machine. Not for keys: see base/crypto.h.

#pragma once

#include <cmath>
#include <cstdint>

namespace base {

class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t Next() {
    std::uint64_t z = (state_ += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }

  // In [0, 1).
  double Uniform() { return static_cast<double>(Next() >> 11) * 0x1.0p-53; }
  double Uniform(double low, double high) { return low + (high - low) * Uniform(); }
  // In [0, count). REQUIRES: count > 0.
  std::uint64_t Below(std::uint64_t count) {
    return static_cast<std::uint64_t>(Uniform() * static_cast<double>(count));
  }
  // Standard normal, by Box and Muller (one of the pair; the other is thrown away to stay stateless).
  double Normal() {
    const double u = 1.0 - Uniform();
    const double v = Uniform();
    return std::sqrt(-2.0 * std::log(u)) * std::cos(6.283185307179586 * v);
  }

  // Everything there is to save.
  std::uint64_t state() const { return state_; }

 private:
  std::uint64_t state_;
};

}  // namespace base
