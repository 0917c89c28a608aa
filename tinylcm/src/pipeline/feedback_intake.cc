#include "tinylcm/src/pipeline/feedback_intake.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "base/text.h"
#include "tinylcm/adapt/retract.h"

namespace tinylcm::pipeline {

using base::StrCat;

namespace {

constexpr std::size_t kNameBytesMax = 64;

bool IsName(const std::string& name) {
  return !name.empty() && name.size() <= kNameBytesMax && name != "unknown" &&
         std::ranges::none_of(name, [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

std::string OutcomeOf(const std::string& fate) {
  if (fate == "learned" || fate == "judged") return "applied";
  return fate == "monitoring_only" ? "unused" : fate;
}

adapt::AdaptationOrder OrderOf(const protocol::Feedback::Adaptation& told) {
  adapt::AdaptationOrder order;
  order.adaptation_sha256 = told.adaptation_sha256;
  order.order = told.order == protocol::AdaptationOrder::kApprove  ? adapt::Order::kApprove
                : told.order == protocol::AdaptationOrder::kReject ? adapt::Order::kReject
                                                                   : adapt::Order::kRollBack;
  return order;
}

// Why a label of this sample cannot be taken in, whatever it says; empty where it can.
std::string Obstacle(const std::string& sample_id, const protocol::Feedback& feedback,
                     const IntakeContext& context, const adapt::Quarantine& quarantine) {
  const bool is_other = !feedback.bundle.empty() && feedback.bundle != context.bundle;
  const adapt::QuarantinedSample* sample = quarantine.Find(sample_id);
  if (sample == nullptr) {
    if (quarantine.WasEvicted(sample_id)) return "evicted_sample";
    return is_other ? "other_bundle" : "unknown_sample";
  }
  // Taken before a bundle was exchanged, the sample is what it was, and its label is as true.
  if (is_other && !sample->bundle.empty() && sample->bundle != feedback.bundle) {
    return "other_bundle";
  }
  return "";
}

}  // namespace

std::vector<protocol::AdaptationReport::LabelOutcome> OutcomesOf(
    const std::vector<adapt::LabelFate>& fates) {
  std::vector<protocol::AdaptationReport::LabelOutcome> outcomes;
  std::map<std::pair<std::string, std::string>, std::size_t> at;
  for (const adapt::LabelFate& fate : fates) {
    const auto [known, is_new] =
        at.emplace(std::pair(fate.sample_id, fate.feedback_id), outcomes.size());
    const std::string outcome = OutcomeOf(fate.fate);
    if (is_new) {
      outcomes.push_back({fate.sample_id, outcome});
    } else if (outcome != "applied" || outcomes[known->second].outcome != "opened_class") {
      outcomes[known->second].outcome = outcome;
    }
  }
  return outcomes;
}

std::vector<Said> Agreed(const std::vector<protocol::Feedback::Label>& labels) {
  struct Votes {
    std::vector<protocol::Feedback::Label> labels;  // One a name, weights added up.
    double total = 0.0;
  };
  std::vector<std::string> order;
  std::map<std::string, Votes> votes;
  for (const protocol::Feedback::Label& label : labels) {
    if (!votes.contains(label.sample_id)) order.push_back(label.sample_id);
    Votes& of = votes[label.sample_id];
    of.total += label.weight;
    const auto same = std::ranges::find(of.labels, label.label, &protocol::Feedback::Label::label);
    if (same == of.labels.end()) {
      of.labels.push_back(label);
    } else {
      same->weight += label.weight;
      same->opens_class |= label.opens_class;
    }
  }
  std::vector<Said> said;
  for (const std::string& sample_id : order) {
    const Votes& of = votes.at(sample_id);
    const auto heaviest =
        std::ranges::max_element(of.labels, {}, &protocol::Feedback::Label::weight);
    const double beyond = 2.0 * heaviest->weight - of.total;  // Less all others.
    const double share = of.total > 0.0 ? std::max(0.0, beyond) / of.total : 0.0;
    said.push_back({.sample_id = sample_id,
                    .label = heaviest->label,
                    .weight = share * std::min(1.0, heaviest->weight),
                    .opens_class = heaviest->opens_class});
  }
  return said;
}

base::Result<TakenIn> TakeIn(const protocol::Feedback& feedback, const IntakeContext& context,
                             adapt::Quarantine& quarantine) {
  const std::map<std::string, adapt::Label> before = quarantine.labels();
  TakenIn out;
  adapt::Feedback& told = out.told.feedback;
  std::vector<adapt::LabelFate>& settled = out.told.settled;
  told.feedback_id = feedback.feedback_id;
  const auto settle = [&](const std::string& sample_id, const std::string& fate,
                          const std::string& why) {
    settled.push_back({sample_id, feedback.feedback_id, fate});
    if (!why.empty()) out.remarks.push_back(StrCat("sample ", sample_id, ": ", why));
  };
  const auto refuse = [&](const std::string& sample_id, const std::string& fate) {
    const char* why = fate == "evicted_sample" ? "was given up meanwhile"
                      : fate == "other_bundle" ? "the feedback is about another bundle"
                                               : "was never here";
    settle(sample_id, fate, why);
  };

  for (const std::string& sample_id : feedback.retract) {
    const std::vector<std::string> one = {sample_id};
    const bool has_label = before.contains(sample_id);
    const bool has_taught = context.served != nullptr && adapt::IsTaughtBy(*context.served, one);
    if (!has_label && !has_taught) {
      // Of a sample that is or was here, the label may have gone in an earlier try that was cut
      // short; what it taught elsewhere must go all the same.
      const std::string obstacle = Obstacle(sample_id, feedback, context, quarantine);
      if (!obstacle.empty() && obstacle != "evicted_sample") {
        refuse(sample_id, obstacle);
        continue;
      }
    }
    if (has_label) RETURN_IF_ERROR(quarantine.RemoveLabel(sample_id));
    told.retract.push_back(sample_id);
    settle(sample_id, "retracted", "");
  }

  for (const Said& said : Agreed(feedback.labels)) {
    const std::string obstacle = Obstacle(said.sample_id, feedback, context, quarantine);
    if (!obstacle.empty()) {
      refuse(said.sample_id, obstacle);
      continue;
    }
    const auto old = before.find(said.sample_id);
    if (!(said.weight > 0.0)) {
      settle(said.sample_id, "unused", "its reviewers contradict each other");
      if (old != before.end() && quarantine.labels().contains(said.sample_id)) {
        RETURN_IF_ERROR(quarantine.RemoveLabel(said.sample_id));
        told.retract.push_back(said.sample_id);
      }
      continue;
    }
    std::optional<std::size_t> number;
    const auto& opened = quarantine.opened();
    const auto own = std::ranges::find(context.names, said.label);
    const auto other = std::ranges::find(opened, said.label);
    if (own != context.names.end()) {
      number = static_cast<std::size_t>(own - context.names.begin());
    } else if (other != opened.end()) {
      number = context.names.size() + static_cast<std::size_t>(other - opened.begin());
    } else if (said.opens_class && context.may_change && IsName(said.label)) {
      const auto place = quarantine.OpenClass(said.label);
      if (place.ok()) {
        number = context.names.size() + *place;
        settle(said.sample_id, "opened_class", StrCat("opens the class '", said.label, "'"));
      } else if (place.error().code != base::ErrorCode::kExhausted ||
                 opened.size() < adapt::Quarantine::kOpenedMax) {
        return place.error();  // The disk: worth a retry.
      }
    }
    if (!number) {
      settle(said.sample_id, "unknown_label",
             StrCat("'", said.label, "' is no class of this bundle"));
      continue;
    }
    const adapt::Label label{.sample_id = said.sample_id,
                             .label = static_cast<std::uint16_t>(*number),
                             .feedback_id = feedback.feedback_id,
                             .weight = static_cast<float>(said.weight)};
    if (old != before.end() && old->second.label != label.label) {
      settled.push_back({said.sample_id, old->second.feedback_id, "replaced"});
    }
    RETURN_IF_ERROR(quarantine.SetLabel(label));
    told.labels.push_back(label);
  }
  for (const protocol::Feedback::Event& event : feedback.events) {
    if (context.open_event.empty() || event.event_id != context.open_event) {
      out.remarks.push_back(
          StrCat("event ", event.event_id, ": is over, its verdict changes nothing"));
      continue;
    }
    told.verdict = *adapt::ParseEventVerdict(protocol::Name(event.verdict));
  }
  for (const auto& order : feedback.adaptations) told.orders.push_back(OrderOf(order));
  RETURN_IF_ERROR(quarantine.Sync());
  return out;
}

std::vector<adapt::LabelFate> FatesAgain(const protocol::Feedback& feedback,
                                         const IntakeContext& context,
                                         const adapt::Quarantine& quarantine) {
  std::vector<adapt::LabelFate> fates;
  for (const Said& said : Agreed(feedback.labels)) {
    std::string fate = Obstacle(said.sample_id, feedback, context, quarantine);
    if (fate.empty()) {
      const auto label = quarantine.labels().find(said.sample_id);
      const bool is_named =
          std::ranges::find(context.names, said.label) != context.names.end() ||
          std::ranges::find(quarantine.opened(), said.label) != quarantine.opened().end();
      fate = !(said.weight > 0.0)                                ? "unused"
             : !is_named                                         ? "unknown_label"
             : label == quarantine.labels().end()                ? "retracted"
             : label->second.feedback_id == feedback.feedback_id ? "judged"
                                                                 : "replaced";
    }
    fates.push_back({said.sample_id, feedback.feedback_id, fate});
  }
  for (const std::string& sample_id : feedback.retract) {
    const auto label = quarantine.labels().find(sample_id);
    const bool is_gone = label == quarantine.labels().end();
    std::string fate = Obstacle(sample_id, feedback, context, quarantine);
    if (fate == "evicted_sample") fate = "retracted";
    if (fate.empty()) fate = is_gone ? "retracted" : "replaced";
    fates.push_back({sample_id, feedback.feedback_id, fate});
  }
  return fates;
}

}  // namespace tinylcm::pipeline
