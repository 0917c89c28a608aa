// Feedback: people's labels and verdicts on their way to the device that asked.
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

struct Feedback {
  struct Label {
    std::string sample_id;
    std::string label;
    double weight = 1.0;
    std::int64_t reviewers = 1;
    friend bool operator==(const Label&, const Label&) = default;
  };
  struct Event {
    std::string event_id;
    EventVerdict verdict = EventVerdict::kReal;
    friend bool operator==(const Event&, const Event&) = default;
  };

  std::string feedback_id;
  std::string bundle;  // That ran when the samples were taken.
  std::vector<Label> labels;
  std::vector<std::string> retract;
  std::vector<Event> events;

  friend bool operator==(const Feedback&, const Feedback&) = default;
};

base::Json ToJson(const Feedback& feedback);
base::Result<Feedback> ParseFeedback(std::string_view json);

}  // namespace protocol
