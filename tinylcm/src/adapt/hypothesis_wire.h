// An input hypothesis's fields in bytes. The first byte is 16 + the number of steps, or, in
// adaptations of version 1 only, a kind below 5.

#pragma once

#include "tinylcm/adapt/input_hypothesis.h"
#include "tinylcm/src/state/wire.h"

namespace tinylcm::adapt {

void WriteHypothesis(state::WireWriter& writer, const InputHypothesis& hypothesis);

// False where the fields do not make sense; whether the bytes sufficed is the reader's to say.
bool ReadHypothesis(state::WireReader& reader, std::uint32_t adaptation_version,
                    InputHypothesis& hypothesis);

}  // namespace tinylcm::adapt
