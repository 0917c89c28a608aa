// Feedback: people's labels, verdicts and orders on their way to the device that asked.
// docs/formats/feedback.md.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace protocol {

inline constexpr std::string_view kFeedbackFormat = "tinylcm-feedback/1";

enum class EventVerdict { kReal, kFalseAlarm, kExpected };
const char* Name(EventVerdict verdict);  // "real", "false_alarm", "expected"
base::Result<EventVerdict> ParseEventVerdict(std::string_view name);

// What a person wants done with an adaptation.
enum class AdaptationOrder { kApprove, kReject, kRollBack };
const char* Name(AdaptationOrder order);  // "approve", "reject", "roll_back"
base::Result<AdaptationOrder> ParseAdaptationOrder(std::string_view name);

struct Feedback {
  struct Label {
    std::string sample_id;
    std::string label;
    double weight = 1.0;  // How far its reviewers agreed: a lone or agreed word is 1.
    std::int64_t reviewers = 1;
    // The person meant to name a class that the bundle does not have.
    bool opens_class = false;
    friend bool operator==(const Label&, const Label&) = default;
  };
  struct Event {
    std::string event_id;
    EventVerdict verdict = EventVerdict::kReal;
    friend bool operator==(const Event&, const Event&) = default;
  };

  struct Adaptation {
    std::string adaptation_sha256;  // Of its serialised bytes: the one that the person saw.
    AdaptationOrder order = AdaptationOrder::kApprove;
    friend bool operator==(const Adaptation&, const Adaptation&) = default;
  };

  std::string feedback_id;
  std::string bundle;  // That ran when the samples were taken.
  std::vector<Label> labels;
  std::vector<std::string> retract;
  std::vector<Event> events;
  std::vector<Adaptation> adaptations;

  friend bool operator==(const Feedback&, const Feedback&) = default;
};

base::Json ToJson(const Feedback& feedback);
base::Result<Feedback> ParseFeedback(std::string_view json);

}  // namespace protocol
