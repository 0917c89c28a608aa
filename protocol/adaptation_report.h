// adaptation.json: what a device did about a drift event or with a person's labels.
// docs/formats/adaptation.md.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"

namespace protocol {

inline constexpr std::string_view kAdaptationFormat = "tinylcm-adaptation/1";
inline constexpr std::string_view kAdaptationPath = "adaptation.json";
// Beside it, where they exist: what serves or is proposed, and what is gone back to.
inline constexpr std::string_view kAdaptationBytesPath = "adaptation.bin";
inline constexpr std::string_view kChampionBytesPath = "champion.bin";

struct AdaptationReport {
  // A hypothesis or challenger that was tried.
  struct Candidate {
    std::string stage;  // "hypothesis" or "challenger"
    std::string name;
    std::optional<double> score;           // Share of labels it gets right.
    std::optional<double> distance_ratio;  // Hypotheses: to the anchors, under it / as it was.
    std::string verdict;                   // "served", "kept", "rejected"
    std::string reason;
    friend bool operator==(const Candidate&, const Candidate&) = default;
  };
  struct LabelOutcome {
    std::string sample_id;
    // "applied", "opened_class", "replaced", "retracted", "refused" (it contradicts the others),
    // "unused", or why nothing was learned: "unknown_sample", "evicted_sample", "unknown_label",
    // "other_bundle".
    std::string outcome;
    friend bool operator==(const LabelOutcome&, const LabelOutcome&) = default;
  };
  // What became of a person's order.
  struct OrderOutcome {
    std::string adaptation_sha256;
    std::string order;    // "approve", "reject", "roll_back"
    std::string outcome;  // "done", "unknown_adaptation" (it neither serves nor waits), "unused"
    friend bool operator==(const OrderOutcome&, const OrderOutcome&) = default;
  };
  // A step of the state machine.
  struct Transition {
    std::uint64_t index = 0;  // Of the sample at which it happened.
    std::string from;
    std::string to;
    std::string why;
    friend bool operator==(const Transition&, const Transition&) = default;
  };

  std::string adaptation_id;
  base::Time at{};
  std::uint64_t sample_index = 0;
  std::string state;  // The state machine's, after it: stable probation rolled_back escalated ...
  std::optional<std::string> event_id;
  std::optional<std::string> feedback_id;  // Acknowledges that feedback: it has been applied.
  std::optional<std::string> hypothesis;   // What is served now.
  std::optional<std::string> challenger;
  std::vector<Candidate> candidates;
  std::vector<LabelOutcome> labels;
  std::optional<double> label_accuracy_before;
  std::optional<double> label_accuracy_after;
  std::optional<double> canary_before;
  std::optional<double> canary_after;
  std::optional<std::string> snapshot;  // Where it can be rolled back to.
  // SHA-256 (hex) of the bytes of what serves or, while it awaits approval, of what is proposed;
  // and of what is gone back to.
  std::optional<std::string> adaptation_sha256;
  std::optional<std::string> champion_sha256;
  std::optional<std::string> awaits;  // "labels" or "approval": what it needs a person for.
  std::vector<OrderOutcome> orders;
  std::vector<Transition> transitions;  // Since the last report, oldest first.
  std::string text;

  friend bool operator==(const AdaptationReport&, const AdaptationReport&) = default;
};

base::Json ToJson(const AdaptationReport& report);
base::Result<AdaptationReport> ParseAdaptationReport(std::string_view json);

}  // namespace protocol
