// Feedback intake: a person's words, understood in the terms of the bundle that runs, and written
// into the quarantine.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/result.h"
#include "protocol/feedback.h"
#include "tinylcm/adapt/adapter.h"
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
  std::map<std::string, adapt::Label> before;  // The labels that stood.
  std::vector<std::string> known;              // The samples that are here.
  std::uint64_t applied = 0;
};
// Labels and retractions into the quarantine; durable when it returns.
base::Result<Taken> TakeIn(const adapt::Feedback& told, adapt::Quarantine& quarantine);

// The fates of labels that came a second time.
std::vector<adapt::LabelFate> FatesAgain(const protocol::Feedback& feedback,
                                         const adapt::Quarantine& quarantine);

}  // namespace tinylcm::pipeline
