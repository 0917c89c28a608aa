// The guesses at what happened to pictures.

#pragma once

#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/input_hypothesis.h"
#include "tinylcm/adapt/picture_statistics.h"

namespace tinylcm::adapt {

// The closed set: identity first, then gain, flat field with and without contrast, rotations by
// +-10, 20, 30, 40 degrees. kInvalidArgument where sizes differ or nothing was counted.
base::Result<std::vector<InputHypothesis>> MakeHypotheses(const PictureReference& reference,
                                                          const PictureStatistics& stream);

}  // namespace tinylcm::adapt
