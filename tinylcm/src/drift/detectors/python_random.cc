#include "tinylcm/drift/detectors/python_random.h"

#include <algorithm>
#include <bit>

#include "base/check.h"

namespace tinylcm::drift {

PythonRandom::PythonRandom(std::uint64_t seed, std::uint32_t population_max)
    : pool_(population_max) {
  Seed(seed);
}

void PythonRandom::Seed(std::uint64_t seed) {
  next_ = kWords;
  const auto fill = [this](std::uint32_t start) {
    words_[0] = start;
    for (std::uint32_t i = 1; i < kWords; ++i) {
      words_[i] = 1812433253u * (words_[i - 1] ^ (words_[i - 1] >> 30)) + i;
    }
  };
  // The seed's 32-bit digits, least first; one digit where it is small.
  const std::array<std::uint32_t, 2> key = {static_cast<std::uint32_t>(seed),
                                            static_cast<std::uint32_t>(seed >> 32)};
  const std::uint32_t digits = key[1] == 0 ? 1 : 2;
  fill(19650218u);
  std::uint32_t i = 1;
  std::uint32_t digit = 0;
  const auto step = [&](std::uint32_t factor) {
    return words_[i] ^ ((words_[i - 1] ^ (words_[i - 1] >> 30)) * factor);
  };
  const auto advance = [&] {
    if (++i >= kWords) {
      words_[0] = words_[kWords - 1];
      i = 1;
    }
  };
  for (std::size_t k = 0; k < kWords; ++k) {
    words_[i] = step(1664525u) + key[digit] + digit;
    advance();
    if (++digit >= digits) digit = 0;
  }
  for (std::size_t k = 0; k < kWords - 1; ++k) {
    words_[i] = step(1566083941u) - i;
    advance();
  }
  words_[0] = 0x80000000u;
}

void PythonRandom::Twist() {
  for (std::size_t i = 0; i < kWords; ++i) {
    const std::uint32_t mixed =
        (words_[i] & 0x80000000u) | (words_[(i + 1) % kWords] & 0x7fffffffu);
    words_[i] = words_[(i + 397) % kWords] ^ (mixed >> 1) ^ ((mixed & 1u) ? 0x9908b0dfu : 0u);
  }
  next_ = 0;
}

std::uint32_t PythonRandom::Next() {
  if (next_ >= kWords) Twist();
  std::uint32_t y = words_[next_++];
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680u;
  y ^= (y << 15) & 0xefc60000u;
  return y ^ (y >> 18);
}

std::uint32_t PythonRandom::Below(std::uint32_t count) {
  const int bits = std::bit_width(count);
  std::uint32_t drawn = 0;
  do {
    drawn = Next() >> (32 - bits);
  } while (drawn >= count);
  return drawn;
}

void PythonRandom::Sample(std::uint32_t population, std::span<std::uint32_t> out) {
  CHECK(out.size() <= population && population <= pool_.size());
  const auto size = static_cast<std::uint32_t>(out.size());
  // How large a set would be in memory, in CPython's reckoning: 21 and, beyond 5 members, the power
  // of 4 that holds three times as many.
  std::uint64_t set_size = 21;
  if (size > 5) {
    std::uint64_t power = 1;
    while (power < std::uint64_t{3} * size) power *= 4;
    set_size += power;
  }
  if (population <= set_size) {
    for (std::uint32_t i = 0; i < population; ++i) pool_[i] = i;
    for (std::uint32_t i = 0; i < size; ++i) {
      const std::uint32_t at = Below(population - i);
      out[i] = pool_[at];
      pool_[at] = pool_[population - i - 1];
    }
    return;
  }
  std::fill_n(pool_.begin(), population, 0u);  // 1: taken.
  for (std::uint32_t& drawn : out) {
    do {
      drawn = Below(population);
    } while (pool_[drawn] != 0);
    pool_[drawn] = 1;
  }
}

void PythonRandom::Write(StateWriter& writer) const {
  writer.PutSpan(words_);
  writer.Put(next_);
}

void PythonRandom::Read(StateReader& reader) {
  reader.GetSpan(words_);
  next_ = reader.GetUpTo<std::uint32_t>(kWords);
}

}  // namespace tinylcm::drift
