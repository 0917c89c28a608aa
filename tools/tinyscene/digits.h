// Digits: the 1,797 handwritten digits everything here is drawn from, and the pools they are split
// into so that nothing is scored on a digit it was trained on.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tinyscene {

inline constexpr int kClasses = 10;
inline constexpr int kDigitSide = 8;
inline constexpr int kDigitCells = kDigitSide * kDigitSide;
inline constexpr int kFullInk = 16;

struct Digit {
  std::array<std::uint8_t, kDigitCells> ink{};  // 0..16, row by row.
  std::uint8_t label = 0;                       // 0..9.
};

// T trains and fits; A is streamed up to and including the labels; B is only ever scored.
enum class Pool { kT, kA, kB };

const char* Name(Pool pool);  // "T", "A", "B".
base::Result<Pool> ParsePool(std::string_view text);

class Digits {
 public:
  // `csv` is examples/digits/digits.csv. Fails with the line that is wrong, or if a class is too
  // small to be split.
  static base::Result<Digits> Parse(std::string_view csv);

  std::size_t count() const { return digits_.size(); }
  const Digit& digit(std::size_t id) const { return digits_.at(id); }
  Pool pool_of(std::size_t id) const { return pools_.at(id); }

  // The ids of a pool's digits of one class, in an order that is always the same.
  const std::vector<std::uint32_t>& Ids(Pool pool, int label) const;

 private:
  std::vector<Digit> digits_;
  std::vector<Pool> pools_;
  std::array<std::array<std::vector<std::uint32_t>, kClasses>, 3> ids_;
};

}  // namespace tinyscene
