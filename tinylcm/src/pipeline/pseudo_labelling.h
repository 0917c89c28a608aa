// Pseudo-labelling: what the bundle says itself of the open event's samples, where clusters of them
// can be believed (adapt/pseudo_labels.h).

#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "tinylcm/adapt/machine.h"
#include "tinylcm/adapt/quarantine.h"
#include "tinylcm/pipeline/serving.h"

namespace tinylcm::pipeline {

struct PseudoLabelled {
  adapt::AdaptationPtr adaptation;  // Null: no cluster is believed, or a person labelled a sample.
  std::string why;
};
// `bench`: the bundle alone, which must be adaptable; `served`: in whose input space it is done.
base::Result<PseudoLabelled> MakePseudo(Serving& bench, const adapt::Quarantine& quarantine,
                                        const adapt::Adaptation& served,
                                        const std::string& event_id, std::uint64_t seed);

}  // namespace tinylcm::pipeline
