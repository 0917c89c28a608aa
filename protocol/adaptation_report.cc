#include "protocol/adaptation_report.h"

#include "protocol/identifiers.h"
#include "protocol/json_fields.h"

namespace protocol {

using base::Json;
using base::JsonReader;

Json ToJson(const AdaptationReport& report) {
  Json candidates = Json::MakeArray();
  for (const auto& candidate : report.candidates) {
    candidates.Append(Json::MakeObject({{"stage", candidate.stage},
                                        {"name", candidate.name},
                                        {"score", candidate.score},
                                        {"distance_ratio", candidate.distance_ratio},
                                        {"verdict", candidate.verdict},
                                        {"reason", candidate.reason}}));
  }
  Json labels = Json::MakeArray();
  for (const auto& label : report.labels) {
    labels.Append(Json::MakeObject({{"sample_id", label.sample_id}, {"outcome", label.outcome}}));
  }
  Json orders = Json::MakeArray();
  for (const auto& order : report.orders) {
    orders.Append(Json::MakeObject({{"adaptation_sha256", order.adaptation_sha256},
                                    {"order", order.order},
                                    {"outcome", order.outcome}}));
  }
  Json transitions = Json::MakeArray();
  for (const auto& transition : report.transitions) {
    transitions.Append(Json::MakeObject({{"index", transition.index},
                                         {"from", transition.from},
                                         {"to", transition.to},
                                         {"why", transition.why}}));
  }
  return Json::MakeObject({{"format", kAdaptationFormat},
                           {"adaptation_id", report.adaptation_id},
                           {"at", base::FormatTime(report.at)},
                           {"sample_index", report.sample_index},
                           {"state", report.state},
                           {"event_id", report.event_id},
                           {"feedback_id", report.feedback_id},
                           {"hypothesis", report.hypothesis},
                           {"challenger", report.challenger},
                           {"candidates", std::move(candidates)},
                           {"labels", std::move(labels)},
                           {"label_accuracy_before", report.label_accuracy_before},
                           {"label_accuracy_after", report.label_accuracy_after},
                           {"canary_before", report.canary_before},
                           {"canary_after", report.canary_after},
                           {"snapshot", report.snapshot},
                           {"adaptation_sha256", report.adaptation_sha256},
                           {"champion_sha256", report.champion_sha256},
                           {"awaits", report.awaits},
                           {"orders", std::move(orders)},
                           {"transitions", std::move(transitions)},
                           {"text", report.text}});
}

namespace {

std::optional<std::string> OptionalSha256(JsonReader& reader, std::string_view key) {
  auto sha256 = reader.OptionalString(key);
  if (sha256 && !IsSha256Hex(*sha256)) reader.Refuse(key, "not 64 lower-case hex digits");
  return sha256;
}

}  // namespace

base::Result<AdaptationReport> ParseAdaptationReport(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseDocument(text));
  JsonReader reader(json, "adaptation.json");
  RETURN_IF_ERROR(CheckFormat(reader, kAdaptationFormat));
  AdaptationReport report;
  report.adaptation_id = reader.String("adaptation_id");
  if (!IsPlainId(report.adaptation_id)) reader.Refuse("adaptation_id", "malformed");
  report.at = ReadTime(reader, "at");
  report.sample_index = ReadCount(reader, "sample_index");
  report.state = reader.String("state", {.bytes_max = 64});
  report.event_id = reader.OptionalString("event_id");
  report.feedback_id = reader.OptionalString("feedback_id");
  report.hypothesis = reader.OptionalString("hypothesis");
  report.challenger = reader.OptionalString("challenger");
  for (JsonReader& candidate : reader.Array("candidates", 1000)) {
    report.candidates.push_back({candidate.String("stage"), candidate.String("name"),
                                 candidate.OptionalDouble("score"),
                                 candidate.OptionalDouble("distance_ratio"),
                                 candidate.String("verdict"), candidate.String("reason")});
  }
  for (JsonReader& label : reader.Array("labels", 10'000)) {
    report.labels.push_back({label.String("sample_id"), label.String("outcome")});
  }
  report.label_accuracy_before = reader.OptionalDouble("label_accuracy_before");
  report.label_accuracy_after = reader.OptionalDouble("label_accuracy_after");
  report.canary_before = reader.OptionalDouble("canary_before");
  report.canary_after = reader.OptionalDouble("canary_after");
  report.snapshot = reader.OptionalString("snapshot");
  report.adaptation_sha256 = OptionalSha256(reader, "adaptation_sha256");
  report.champion_sha256 = OptionalSha256(reader, "champion_sha256");
  report.awaits = reader.OptionalString("awaits");
  // Devices of before these existed do not say them.
  if (reader.Has("orders")) {
    for (JsonReader& order : reader.Array("orders", 1000)) {
      report.orders.push_back(
          {order.String("adaptation_sha256"), order.String("order"), order.String("outcome")});
    }
  }
  if (reader.Has("transitions")) {
    for (JsonReader& transition : reader.Array("transitions", 1000)) {
      // One after the other: what stands where in the text is what is read.
      AdaptationReport::Transition read;
      read.index = ReadCount(transition, "index");
      read.from = transition.String("from", {.bytes_max = 64});
      read.to = transition.String("to", {.bytes_max = 64});
      read.why = transition.String("why");
      report.transitions.push_back(std::move(read));
    }
  }
  report.text = reader.String("text");
  RETURN_IF_ERROR(reader.status());
  return report;
}

}  // namespace protocol
