// Feedback intake: a person's words, understood in the terms of the bundle that runs, and written
// into the quarantine.

#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/feedback.h"
#include "tinylcm/adapt/machine.h"
#include "tinylcm/adapt/quarantine.h"

namespace tinylcm::pipeline {

// What became of labels, in words of the adaptation report.
std::string OutcomeOf(const std::string& fate);

// Feedback in the bundle's terms.
struct Understood {
  adapt::Feedback told;
  std::vector<adapt::LabelFate> unknown_labels;  // Of classes the bundle does not have.
};
// `names`: the bundle's labels. `open_event`: the event a verdict counts for; empty: any.
Understood Understand(const protocol::Feedback& feedback, const std::vector<std::string>& names,
                      const std::string& open_event);

struct Taken {
  adapt::Told told;  // All but its index: what the machine is to hear.
};
// Labels and retractions into the quarantine; durable when it returns.
base::Result<Taken> TakeIn(const Understood& understood, adapt::Quarantine& quarantine);

// The fates of labels that came a second time.
std::vector<adapt::LabelFate> FatesAgain(const protocol::Feedback& feedback,
                                         const adapt::Quarantine& quarantine);

}  // namespace tinylcm::pipeline
