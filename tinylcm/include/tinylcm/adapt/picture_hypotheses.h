// The guesses at what happened to pictures: a closed set, one or two at a time.
//
//   tone     channel_gain, histogram_match, flat_field, flat_field_contrast: light, cast, dirt
//   filter   median, gaussian, unsharp: noise, defocus
//   turn     rotate: a camera knocked askew
//
// Two that come together are undone filter before turn before tone, and the tone is estimated from
// the pictures as the step before it leaves them.

#pragma once

#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/input_hypothesis.h"
#include "tinylcm/adapt/picture_statistics.h"

namespace tinylcm::adapt {

enum class StepFamily { kTone, kFilter, kTurn };
StepFamily FamilyOf(StepKind kind);  // REQUIRES: a kind for pictures.

// Those without figures of a stream.
std::vector<InputStep> Filters();  // median, gaussian sd 1, unsharp 2.5 px x 1.5 and 4 px x 4.
std::vector<InputStep> Turns();    // +-10, 20, 30, 40 degrees.

// Makes the stream look as the reference does. histogram_match only where the reference has
// histograms. kInvalidArgument where sizes differ or nothing was counted.
base::Result<std::vector<InputStep>> Tones(const PictureReference& reference,
                                           const PictureStatistics& stream);

// Identity first, then each of the above by itself.
base::Result<std::vector<InputHypothesis>> MakeHypotheses(const PictureReference& reference,
                                                          const PictureStatistics& stream);

}  // namespace tinylcm::adapt
