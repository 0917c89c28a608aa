// InstructionSet: which of the ways that distances are compiled for this processor was given.

#pragma once

namespace tinylcm::classify {

// As Highway names it: "NEON" on a 64-bit ARM board, "AVX2", "AVX3" or "SSE4" and others on x86-64,
// "SCALAR" or "EMU128" where there are no vectors. The numbers are the same with all of them.
const char* InstructionSet();

}  // namespace tinylcm::classify
