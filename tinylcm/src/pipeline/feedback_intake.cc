#include "tinylcm/src/pipeline/feedback_intake.h"

#include <algorithm>

namespace tinylcm::pipeline {

std::string OutcomeOf(const std::string& fate) {
  if (fate == "retracted" || fate == "unknown_sample" || fate == "unknown_label") return fate;
  return fate == "monitoring_only" ? "unused" : "applied";
}

Understood Understand(const protocol::Feedback& feedback, const std::vector<std::string>& names,
                      const std::string& open_event) {
  Understood out;
  out.told.feedback_id = feedback.feedback_id;
  out.told.retract = feedback.retract;
  for (const protocol::Feedback::Label& label : feedback.labels) {
    const auto found = std::find(names.begin(), names.end(), label.label);
    if (found == names.end()) {
      out.unknown_labels.push_back({label.sample_id, feedback.feedback_id, "unknown_label"});
    } else {
      out.told.labels.push_back({label.sample_id, static_cast<std::uint16_t>(found - names.begin()),
                                 feedback.feedback_id});
    }
  }
  for (const protocol::Feedback::Event& event : feedback.events) {
    if (event.event_id != open_event && !open_event.empty()) continue;
    out.told.verdict = *adapt::ParseEventVerdict(protocol::Name(event.verdict));
  }
  return out;
}

base::Result<Taken> TakeIn(const adapt::Feedback& told, adapt::Quarantine& quarantine) {
  Taken out;
  out.before = quarantine.labels();
  for (const adapt::QuarantinedSample& sample : quarantine.samples()) {
    out.known.push_back(sample.sample_id);
  }
  for (const adapt::Label& label : told.labels) {
    if (quarantine.Find(label.sample_id) == nullptr) continue;
    RETURN_IF_ERROR(quarantine.SetLabel(label));
    ++out.applied;
  }
  for (const std::string& sample_id : told.retract) {
    if (out.before.contains(sample_id)) RETURN_IF_ERROR(quarantine.RemoveLabel(sample_id));
  }
  RETURN_IF_ERROR(quarantine.Sync());
  return out;
}

std::vector<adapt::LabelFate> FatesAgain(const protocol::Feedback& feedback,
                                         const adapt::Quarantine& quarantine) {
  std::vector<adapt::LabelFate> fates;
  for (const protocol::Feedback::Label& label : feedback.labels) {
    const bool is_known = quarantine.labels().contains(label.sample_id);
    fates.push_back(
        {label.sample_id, feedback.feedback_id, is_known ? "judged" : "unknown_sample"});
  }
  return fates;
}

}  // namespace tinylcm::pipeline
