// PythonRandom: the numbers CPython's `random.Random(seed)` gives, for results that must agree with
// a Python program draw for draw. Where nothing must agree take base/random.h: it is faster and
// 2,500 bytes smaller.
//
// M. Matsumoto and T. Nishimura, "Mersenne Twister", ACM TOMACS 8 (1998), seeded by array; `sample`
// draws as CPython 3.9 and later do: from a shrinking pool where the sample is a large part of the
// population, otherwise again and again until the number is new.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

// Not thread-safe. No allocation after the constructor.
class PythonRandom {
 public:
  // `population_max`: the largest population Sample will be asked about.
  PythonRandom(std::uint64_t seed, std::uint32_t population_max);

  void Seed(std::uint64_t seed);  // Starts anew.

  std::uint32_t Next();  // 32 bits.
  // random.Random._randbelow. REQUIRES: 0 < count < 2^31.
  std::uint32_t Below(std::uint32_t count);
  // random.sample(range(population), out.size()), in its order.
  // REQUIRES: out.size() <= population <= population_max.
  void Sample(std::uint32_t population, std::span<std::uint32_t> out);

  void Write(StateWriter& writer) const;
  void Read(StateReader& reader);

 private:
  static constexpr std::size_t kWords = 624;

  void Twist();

  std::array<std::uint32_t, kWords> words_ = {};
  std::uint32_t next_ = kWords;
  std::vector<std::uint32_t> pool_;
};

}  // namespace tinylcm::drift
