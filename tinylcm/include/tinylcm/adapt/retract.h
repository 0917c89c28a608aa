// Retract: what a person's label taught is taken out of an adaptation when the person takes it
// back.

#pragma once

#include <span>
#include <string>

#include "tinylcm/adapt/adaptation.h"

namespace tinylcm::adapt {

// Whether a label of one of these samples helped to make it: it is remembered, taught a neighbour,
// or was judged by.
bool IsTaughtBy(const Adaptation& adaptation, std::span<const std::string> sample_ids);

// What is left of it without them: as it is where they taught nothing; otherwise the corrected
// input alone, which no label made. Transform, memory and head cannot be unmade label by label; the
// judge makes them anew from the labels that stand.
Adaptation WithoutWhatTheyTaught(const Adaptation& adaptation,
                                 std::span<const std::string> sample_ids);

}  // namespace tinylcm::adapt
