// Feedback intake: a person's words, understood in the terms of the bundle that runs, and written
// into the quarantine.
//
//   label ─▶ is the sample here? was it? is it this bundle's? ─▶ which class, perhaps a new one
//         ─▶ how far the reviewers agree ─▶ quarantine, and then the machine
//
// Whatever cannot be taken in is answered for by name, label by label, and changes nothing.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/adaptation_report.h"
#include "protocol/feedback.h"
#include "tinylcm/adapt/machine.h"
#include "tinylcm/adapt/quarantine.h"

namespace tinylcm::pipeline {

// What became of labels, in words of the adaptation report; one outcome a sample and feedback. That
// a class was opened for a label says more than that it was applied.
std::vector<protocol::AdaptationReport::LabelOutcome> OutcomesOf(
    const std::vector<adapt::LabelFate>& fates);

// Labels of one sample as one. Who contradicts takes weight away: of the heaviest label what it has
// beyond all others, as a share of all; 0 where no label has more than the rest together.
struct Said {
  std::string sample_id;
  std::string label;
  double weight = 1.0;  // 0 to 1.
  bool opens_class = false;
};
std::vector<Said> Agreed(const std::vector<protocol::Feedback::Label>& labels);

struct IntakeContext {
  std::string bundle;              // That runs.
  std::vector<std::string> names;  // Its labels.
  std::string open_event;          // A verdict counts for it alone; empty: for none.
  bool may_change = true;          // False where nothing is adapted: then no class is opened.
  const adapt::Adaptation* served = nullptr;  // What a retraction may concern besides labels here.
};
struct TakenIn {
  adapt::Told told;  // All but its index: what the machine is to hear.
  // For the log: what was not taken in, and why.
  std::vector<std::string> remarks;
};
// Labels and retractions into the quarantine; durable when it returns. Taking the same feedback in
// twice changes nothing more.
base::Result<TakenIn> TakeIn(const protocol::Feedback& feedback, const IntakeContext& context,
                             adapt::Quarantine& quarantine);

// The fates of labels that came a second time, as far as they are known by now.
std::vector<adapt::LabelFate> FatesAgain(const protocol::Feedback& feedback,
                                         const IntakeContext& context,
                                         const adapt::Quarantine& quarantine);

}  // namespace tinylcm::pipeline
