#include "protocol/feedback.h"

#include "base/text.h"
#include "protocol/identifiers.h"
#include "protocol/json_fields.h"

namespace protocol {

using base::Json;
using base::JsonReader;
using base::Result;

const char* Name(EventVerdict verdict) {
  switch (verdict) {
    case EventVerdict::kReal:
      return "real";
    case EventVerdict::kFalseAlarm:
      return "false_alarm";
    case EventVerdict::kExpected:
      return "expected";
  }
  return "real";
}

Result<EventVerdict> ParseEventVerdict(std::string_view name) {
  for (const EventVerdict verdict :
       {EventVerdict::kReal, EventVerdict::kFalseAlarm, EventVerdict::kExpected}) {
    if (name == Name(verdict)) return verdict;
  }
  return base::Error{base::ErrorCode::kInvalidArgument,
                     base::StrCat("'", name, "' is none of real, false_alarm, expected")};
}

const char* Name(AdaptationOrder order) {
  switch (order) {
    case AdaptationOrder::kApprove:
      return "approve";
    case AdaptationOrder::kReject:
      return "reject";
    case AdaptationOrder::kRollBack:
      return "roll_back";
  }
  return "approve";
}

Result<AdaptationOrder> ParseAdaptationOrder(std::string_view name) {
  for (const AdaptationOrder order :
       {AdaptationOrder::kApprove, AdaptationOrder::kReject, AdaptationOrder::kRollBack}) {
    if (name == Name(order)) return order;
  }
  return base::Error{base::ErrorCode::kInvalidArgument,
                     base::StrCat("'", name, "' is none of approve, reject, roll_back")};
}

Json ToJson(const Feedback& feedback) {
  Json labels = Json::MakeArray();
  for (const auto& label : feedback.labels) {
    labels.Append(Json::MakeObject({{"sample_id", label.sample_id},
                                    {"label", label.label},
                                    {"weight", label.weight},
                                    {"reviewers", label.reviewers},
                                    {"opens_class", label.opens_class}}));
  }
  Json events = Json::MakeArray();
  for (const auto& event : feedback.events) {
    events.Append(
        Json::MakeObject({{"event_id", event.event_id}, {"verdict", Name(event.verdict)}}));
  }
  Json adaptations = Json::MakeArray();
  for (const auto& adaptation : feedback.adaptations) {
    adaptations.Append(Json::MakeObject(
        {{"adaptation_sha256", adaptation.adaptation_sha256}, {"order", Name(adaptation.order)}}));
  }
  return Json::MakeObject({{"format", kFeedbackFormat},
                           {"feedback_id", feedback.feedback_id},
                           {"bundle", feedback.bundle},
                           {"labels", std::move(labels)},
                           {"retract", ToJson(feedback.retract)},
                           {"events", std::move(events)},
                           {"adaptations", std::move(adaptations)}});
}

Result<Feedback> ParseFeedback(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseDocument(text));
  JsonReader reader(json, "feedback");
  RETURN_IF_ERROR(CheckFormat(reader, kFeedbackFormat));
  Feedback feedback;
  feedback.feedback_id = reader.String("feedback_id");
  if (!IsPlainId(feedback.feedback_id)) reader.Refuse("feedback_id", "malformed");
  feedback.bundle = reader.String("bundle");
  for (JsonReader& label : reader.Array("labels", 10'000)) {
    Feedback::Label parsed{label.String("sample_id"), label.String("label"), label.Double("weight"),
                           label.Int("reviewers", {.min = 0}),
                           label.OptionalBool("opens_class").value_or(false)};
    if (!IsPlainId(parsed.sample_id)) label.Refuse("sample_id", "malformed");
    // A label's weight is a vote: none, or at most as much as all of a reasonable crew.
    if (!(parsed.weight >= 0.0 && parsed.weight <= 100.0)) label.Refuse("weight", "out of range");
    feedback.labels.push_back(std::move(parsed));
  }
  feedback.retract = reader.Strings("retract", 10'000);
  for (JsonReader& event : reader.Array("events", 1000)) {
    const std::string event_id = event.String("event_id");
    const Result<EventVerdict> verdict = ParseEventVerdict(event.String("verdict"));
    if (!verdict.ok()) {
      event.Refuse("verdict", verdict.error().message);
      break;
    }
    feedback.events.push_back({event_id, *verdict});
  }
  // Servers of before orders existed do not say them.
  if (reader.Has("adaptations")) {
    for (JsonReader& adaptation : reader.Array("adaptations", 100)) {
      const std::string sha256 = adaptation.String("adaptation_sha256");
      if (!IsSha256Hex(sha256)) {
        adaptation.Refuse("adaptation_sha256", "not 64 lower-case hex digits");
      }
      const Result<AdaptationOrder> order = ParseAdaptationOrder(adaptation.String("order"));
      if (!order.ok()) {
        adaptation.Refuse("order", order.error().message);
        break;
      }
      feedback.adaptations.push_back({sha256, *order});
    }
  }
  RETURN_IF_ERROR(reader.status());
  return feedback;
}

}  // namespace protocol
