// Input searching: tries the hypotheses about the input on the samples of the quarantine.

#pragma once

#include <cstddef>
#include <vector>

#include "base/result.h"
#include "protocol/adaptation_report.h"
#include "tinylcm/adapt/input_search.h"
#include "tinylcm/adapt/quarantine.h"
#include "tinylcm/pipeline/serving.h"

namespace tinylcm::pipeline {

struct InputSearched {
  // Identity alone where there is nothing to search by: no picture can be read, too few rows, a
  // bundle that does not say how its input looked.
  adapt::InputSearchResult result;
  std::vector<protocol::AdaptationReport::Candidate> candidates;  // For the report.
};

// Over the current event's samples, whose pictures are read from the disk one by one. `bench`: the
// bundle alone, which must be adaptable; `served`: what the input is put right by now.
base::Result<InputSearched> SearchInput(Serving& bench, const adapt::Quarantine& quarantine,
                                        const adapt::InputHypothesis& served = {});

}  // namespace tinylcm::pipeline
