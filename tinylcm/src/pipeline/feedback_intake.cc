#include "tinylcm/src/pipeline/feedback_intake.h"

#include <algorithm>
#include <map>
#include <utility>

namespace tinylcm::pipeline {

std::string OutcomeOf(const std::string& fate) {
  if (fate == "learned" || fate == "judged") return "applied";
  return fate == "monitoring_only" ? "unused" : fate;
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
  for (const protocol::Feedback::Adaptation& told : feedback.adaptations) {
    adapt::AdaptationOrder order;
    order.adaptation_sha256 = told.adaptation_sha256;
    order.order = told.order == protocol::AdaptationOrder::kApprove  ? adapt::Order::kApprove
                  : told.order == protocol::AdaptationOrder::kReject ? adapt::Order::kReject
                                                                     : adapt::Order::kRollBack;
    out.told.orders.push_back(std::move(order));
  }
  return out;
}

base::Result<Taken> TakeIn(const Understood& understood, adapt::Quarantine& quarantine) {
  const std::map<std::string, adapt::Label> before = quarantine.labels();
  const adapt::Feedback& said = understood.told;
  Taken out;
  out.told.feedback = said;
  out.told.feedback.labels.clear();
  out.told.feedback.retract.clear();
  std::vector<adapt::LabelFate>& settled = out.told.settled;
  settled = understood.unknown_labels;
  for (const adapt::Label& label : said.labels) {
    if (quarantine.Find(label.sample_id) == nullptr) {
      settled.push_back({label.sample_id, said.feedback_id, "unknown_sample"});
      continue;
    }
    const auto old = before.find(label.sample_id);
    if (old != before.end() && old->second.label != label.label) {
      settled.push_back({label.sample_id, old->second.feedback_id, "replaced"});
    }
    RETURN_IF_ERROR(quarantine.SetLabel(label));
    out.told.feedback.labels.push_back(label);
  }
  for (const std::string& sample_id : said.retract) {
    if (!before.contains(sample_id)) {
      settled.push_back({sample_id, said.feedback_id, "unknown_sample"});
      continue;
    }
    RETURN_IF_ERROR(quarantine.RemoveLabel(sample_id));
    out.told.feedback.retract.push_back(sample_id);
    settled.push_back({sample_id, said.feedback_id, "retracted"});
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
