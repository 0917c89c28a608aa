// Anchors: labelled vectors a new one is compared with.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"

namespace tinylcm::classify {

// A plain value. Row i is vectors[i * dims .. (i + 1) * dims).
struct Anchors {
  std::size_t dims = 0;
  std::vector<float> vectors = {};
  std::vector<std::uint16_t> labels = {};
  std::vector<float> weights = {};  // What a vote of the anchor counts; empty: 1 each.

  std::size_t size() const { return labels.size(); }
  std::span<const float> row(std::size_t i) const {
    return std::span<const float>(vectors).subspan(i * dims, dims);
  }
  float weight(std::size_t i) const { return weights.empty() ? 1.0f : weights[i]; }
  // REQUIRES: vector.size() == dims (the first call may set it).
  void Add(std::span<const float> vector, std::uint16_t label, float weight_of_vote = 1.0f);

  friend bool operator==(const Anchors&, const Anchors&) = default;
};

// kInvalidArgument where sizes do not fit together, a label is not below `classes`, a number is not
// finite or a weight not positive.
base::Status Validate(const Anchors& anchors, std::uint32_t classes);

}  // namespace tinylcm::classify
