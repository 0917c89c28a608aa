// Consensus: several people's words about one sample, as the one label that a device is told.
//
// Each has one vote, their newest word. Most votes name the label; where as many say one thing as
// another, the newest word does, for a correction is given last. The weight is the share of the
// votes it got: a label that is contradicted teaches less.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/clock.h"

namespace tinysphere::feedback {

struct Word {
  std::string by;
  std::string label;
  base::Time at{};
};

struct Consensus {
  std::string label;
  std::string by;  // Who said it last, and when.
  base::Time at{};
  double weight = 1.0;
  std::int64_t reviewers = 1;

  friend bool operator==(const Consensus&, const Consensus&) = default;
};

// `words`: one of each person, oldest first. nullopt where there is none.
std::optional<Consensus> Agree(std::span<const Word> words);

}  // namespace tinysphere::feedback
