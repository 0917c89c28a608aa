// Input searching: tries the hypotheses about the input on the pictures of the quarantine.

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
  adapt::InputSearchResult result;
  std::vector<protocol::AdaptationReport::Candidate> candidates;  // For the report.
  std::size_t pictures = 0;                                       // That could be read.
};

// Over the current event's samples. `bench`: the bundle alone, which must take images.
base::Result<InputSearched> SearchInput(Serving& bench, const adapt::Quarantine& quarantine);

}  // namespace tinylcm::pipeline
