// Judging: challengers made and judged on the labelled samples of the quarantine.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/adaptation_report.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/adapt/gate.h"
#include "tinylcm/adapt/input_hypothesis.h"
#include "tinylcm/adapt/judge.h"
#include "tinylcm/adapt/quarantine.h"
#include "tinylcm/pipeline/serving.h"

namespace tinylcm::pipeline {

// The quarantine's samples that can be embedded, in the space of a hypothesis, under a bundle.
struct Embedded {
  std::vector<float> features;   // Rows of the bundle's feature_count().
  std::vector<std::string> ids;  // One a row.
  std::vector<adapt::LabelledRow> labelled;
  std::vector<adapt::Label> labels;  // One a labelled row.
};
// Labelled samples of earlier events were taken under other changes than this one: they say nothing
// about it, only about another bundle.
enum class Events { kCurrent, kAll };
// `bench`: the bundle alone.
base::Result<Embedded> EmbedQuarantine(Serving& bench, const adapt::Quarantine& quarantine,
                                       const adapt::InputHypothesis& hypothesis, Events events);

struct Judged {
  adapt::Judgement judgement;
  adapt::Adaptation composed;  // The winner, on top of the hypothesis.
  adapt::JudgeFigures figures;
  std::vector<protocol::AdaptationReport::Candidate> candidates;  // For the report.
};
// `bench`: the bundle alone, which must be adaptable. `seed` deals the labels into folds. `served`
// is judged beside them, as what was met before, where it is made for the same input and none of
// the labels taught it. Samples of the current event only.
base::Result<Judged> JudgeChallengers(Serving& bench, const adapt::Quarantine& quarantine,
                                      const adapt::InputHypothesis& hypothesis,
                                      const std::string& event_id, std::uint64_t seed,
                                      const adapt::Adaptation& served);

}  // namespace tinylcm::pipeline
