// An adaptation's fields in bytes, for those that keep one inside something larger.

#pragma once

#include "base/result.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/src/state/wire.h"

namespace tinylcm::adapt {

// What WriteAdaptation writes; every one from 1 on is read.
inline constexpr std::uint32_t kAdaptationVersion = 2;

void WriteAdaptation(state::WireWriter& writer, const Adaptation& adaptation);
// kCorrupt where the fields do not make sense; reads no further than its own.
base::Result<Adaptation> ReadAdaptation(state::WireReader& reader, std::uint32_t version);

}  // namespace tinylcm::adapt
