// What one adaptation is, and what differs between two, in words for a person: a line a thing.
// `tinylcm state show` and `state diff` print it.

#pragma once

#include <string>
#include <vector>

#include "tinylcm/adapt/adaptation.h"

namespace tinylcm::adapt {

// "input: flat_field", "challenger: mean+labelled", "memory: 24 vectors, 24 of people",
// "labels: 24", ... Only what is there; "the bundle alone" where nothing is.
std::vector<std::string> Describe(const Adaptation& adaptation);

// "input: identity -> flat_field", "label of e-1-17: 3 -> 5", "label of e-1-9: gone", ... Empty:
// the same.
std::vector<std::string> Differences(const Adaptation& before, const Adaptation& after);

}  // namespace tinylcm::adapt
