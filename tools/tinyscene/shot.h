// Shot: one frame or row as the truth file knows it, which is all it takes to draw it again.
//
// The truth file is CSV, a line a shot, in order, never rewritten:
//   frame,digit,label,pool,light,blur,noise,rotation,dirt,cast,dropped     camera
//   seq,digit,label,pool,aged,dropped                                      rows
// dropped is 1 where the reader was too slow (or had gone) and never got it.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tools/tinyscene/digits.h"
#include "tools/tinyscene/drifts.h"
#include "tools/tinyscene/settings.h"

namespace tinyscene {

struct Shot {
  std::uint32_t number = 0;
  std::uint32_t digit = 0;
  int label = 0;
  Pool pool = Pool::kA;
  Drifts drifts{};
  bool dropped = false;

  friend bool operator==(const Shot&, const Shot&) = default;
};

// Which digit a stream shows as its shot `number`: a class by lot, then a digit of the pool by lot.
// A class left out shows only in the share of shots that settings.unseen says.
Shot ChooseShot(const Digits& digits, std::uint64_t seed, std::uint32_t number,
                const Settings& settings, std::optional<int> unseen_class);

std::string TruthHeader(Kind kind);                  // With its newline.
std::string TruthLine(Kind kind, const Shot& shot);  // With its newline.

// A whole truth file. Fails with the line and the field that are wrong, also where a digit does not
// have the label stated.
base::Result<std::vector<Shot>> ParseTruth(std::string_view text, Kind kind, const Digits& digits);

}  // namespace tinyscene
