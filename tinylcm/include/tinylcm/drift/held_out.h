// HeldOut: what each signal was, class by class, on samples that the model has not learned from.
// Made when a bundle is fitted (docs/formats/bundle.md); training data would be too good.

#pragma once

#include <array>
#include <vector>

#include "tinylcm/drift/sample.h"

namespace tinylcm::drift {

// By At(signal), then class; ascending. Any may be empty.
using HeldOut = std::array<std::vector<std::vector<float>>, kSignals>;

}  // namespace tinylcm::drift
