// RowTransform: puts a sensor row right, as a hypothesis says, on its way to the processor.

#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/input_hypothesis.h"

namespace tinylcm::adapt {

// Applies a hypothesis to rows in place. Not thread-safe; Apply does not allocate.
class RowTransform {
 public:
  // kInvalidArgument where a step is for pictures, or does not fit `channels`.
  static base::Result<RowTransform> Create(const InputHypothesis& hypothesis, std::size_t channels);
  void Apply(std::span<float> row);  // REQUIRES: `channels` values.

 private:
  std::size_t channels_ = 0;
  std::vector<InputStep> steps_;
  std::vector<float> told_;  // What the repaired channels are told to be.
};

}  // namespace tinylcm::adapt
