#include "protocol/update_report.h"

#include "protocol/identifiers.h"
#include "protocol/json_fields.h"

namespace protocol {

using base::Json;
using base::JsonReader;

const char* Name(UpdateOutcome outcome) {
  switch (outcome) {
    case UpdateOutcome::kRunning:
      return "running";
    case UpdateOutcome::kInstalled:
      return "installed";
    case UpdateOutcome::kRolledBack:
      return "rolled_back";
    case UpdateOutcome::kFailed:
      return "failed";
  }
  return "failed";
}

Json ToJson(const UpdateReport& report) {
  return Json::MakeObject(
      {{"format", kUpdateReportFormat},
       {"at", base::FormatTime(report.at)},
       {"deployment_id", report.deployment_id},
       {"outcome", Name(report.outcome)},
       {"running", Json::MakeObject({{"bundle", report.bundle},
                                     {"name", report.name},
                                     {"version", report.version},
                                     {"model_family", report.model_family},
                                     {"labels", ToJson(report.labels)}})},
       {"previous_bundle", report.previous_bundle},
       {"attempted_bundle", report.attempted_bundle},
       {"detail", report.detail},
       {"health", Json::MakeObject({{"swap_gap_ms", report.swap_gap_ms},
                                    {"golden_ok", report.golden_ok},
                                    {"canary_accuracy", report.canary_accuracy},
                                    {"agreement", report.agreement},
                                    {"latency_ms_p95", report.latency_ms_p95},
                                    {"rss_bytes", report.rss_bytes}})},
       {"adaptation", Json::MakeObject({{"hypothesis_kept", report.hypothesis_kept},
                                        {"challenger_kept", report.challenger_kept},
                                        {"labels_kept", report.labels_kept},
                                        {"labels_dropped", report.labels_dropped}})}});
}

base::Result<UpdateReport> ParseUpdateReport(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseDocument(text));
  JsonReader reader(json, "update_report.json");
  RETURN_IF_ERROR(CheckFormat(reader, kUpdateReportFormat));
  UpdateReport report;
  report.at = ReadTime(reader, "at");
  report.deployment_id = reader.String("deployment_id");
  const std::string outcome = reader.String("outcome");
  bool known = false;
  for (const UpdateOutcome candidate : {UpdateOutcome::kRunning, UpdateOutcome::kInstalled,
                                        UpdateOutcome::kRolledBack, UpdateOutcome::kFailed}) {
    if (outcome != Name(candidate)) continue;
    report.outcome = candidate;
    known = true;
  }
  if (!known) reader.Refuse("outcome", "unknown");
  JsonReader running = reader.Object("running");
  report.bundle = running.String("bundle");
  if (!report.bundle.empty() && !IsSha256Hex(report.bundle)) {
    running.Refuse("bundle", "not 64 lower-case hex digits");
  }
  report.name = running.String("name");
  report.version = running.String("version");
  report.model_family = running.String("model_family");
  report.labels = running.Strings("labels", 65535);
  report.previous_bundle = reader.OptionalString("previous_bundle");
  report.attempted_bundle = reader.OptionalString("attempted_bundle");
  report.detail = reader.String("detail");
  JsonReader health = reader.Object("health");
  report.swap_gap_ms = health.OptionalDouble("swap_gap_ms");
  report.golden_ok = health.OptionalBool("golden_ok");
  report.canary_accuracy = health.OptionalDouble("canary_accuracy");
  report.agreement = health.OptionalDouble("agreement");
  report.latency_ms_p95 = health.OptionalDouble("latency_ms_p95");
  if (const auto rss = health.OptionalInt("rss_bytes", {.min = 0})) {
    report.rss_bytes = static_cast<std::uint64_t>(*rss);
  }
  JsonReader adaptation = reader.Object("adaptation");
  report.hypothesis_kept = adaptation.OptionalString("hypothesis_kept");
  report.challenger_kept = adaptation.OptionalString("challenger_kept");
  report.labels_kept = ReadCount(adaptation, "labels_kept");
  report.labels_dropped = ReadCount(adaptation, "labels_dropped");
  RETURN_IF_ERROR(reader.status());
  return report;
}

}  // namespace protocol
