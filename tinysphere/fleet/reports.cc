#include "tinysphere/fleet/reports.h"

#include <optional>

#include "base/json.h"
#include "base/text.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/series/metrics_series.h"

namespace tinysphere::fleet {

using base::Json;
using store::Transaction;

namespace {

// What lists show; "rolled_back" is an answer to an adaptation, after which all is as before it.
std::string DriftStateOf(const std::string& state) {
  return state == "rolled_back" ? "stable" : state;
}

base::Status SetDriftState(Transaction& transaction, const ReportOrigin& origin,
                           const std::string& state) {
  if (state.empty()) return {};
  RETURN_IF_ERROR(
      transaction.Execute("UPDATE devices SET drift_state = $3, drift_seq = $2 "
                          "WHERE device_id = $1 AND drift_seq <= $2",
                          {origin.device_id, origin.seq, DriftStateOf(state)}));
  return {};
}

store::Value AdaptationValue(const std::optional<std::string>& hypothesis,
                             const std::optional<std::string>& challenger) {
  if (!hypothesis && !challenger) return {};
  return Json::MakeObject({{"hypothesis", hypothesis}, {"challenger", challenger}}).Write();
}

base::Status SetAdaptation(Transaction& transaction, const ReportOrigin& origin,
                           const std::optional<std::string>& hypothesis,
                           const std::optional<std::string>& challenger) {
  RETURN_IF_ERROR(
      transaction.Execute("UPDATE devices SET adaptation = $3, adaptation_seq = $2 "
                          "WHERE device_id = $1 AND adaptation_seq <= $2",
                          {origin.device_id, origin.seq, AdaptationValue(hypothesis, challenger)}));
  return {};
}

std::string Text(const protocol::UpdateReport& report) {
  const std::string what = base::StrCat(report.name, " ", report.version);
  std::string text;
  switch (report.outcome) {
    case protocol::UpdateOutcome::kRunning:
      text = "runs " + what;
      break;
    case protocol::UpdateOutcome::kInstalled:
      text = "swapped to " + what;
      break;
    case protocol::UpdateOutcome::kRolledBack:
      text = "went back to " + what;
      break;
    case protocol::UpdateOutcome::kFailed:
      text = "could not install; still runs " + what;
      break;
  }
  if (report.hypothesis_kept) text += ", keeps " + *report.hypothesis_kept;
  if (report.labels_kept > 0) text += base::StrCat(", ", report.labels_kept, " labels kept");
  if (!report.detail.empty()) text += ": " + report.detail;
  return text;
}

const char* KindOf(protocol::UpdateOutcome outcome) {
  switch (outcome) {
    case protocol::UpdateOutcome::kRolledBack:
      return "rollback";
    case protocol::UpdateOutcome::kFailed:
      return "alert";
    default:
      return "update";
  }
}

}  // namespace

base::Status TakeMetrics(Transaction& transaction, const ReportOrigin& origin,
                         const protocol::DeviceMetrics& metrics) {
  Json document = protocol::ToJson(metrics);
  document.Set("at", base::FormatTime(origin.at));
  const std::string text = document.Write();
  RETURN_IF_ERROR(
      series::TakeMetricsPoint(transaction, origin.device_id, origin.at, metrics, text));
  RETURN_IF_ERROR(transaction.Execute(
      "UPDATE devices SET metrics = $3, metrics_seq = $2, mode = $4, agent_version = $5 "
      "WHERE device_id = $1 AND metrics_seq <= $2",
      {origin.device_id, origin.seq, text, metrics.mode, origin.agent_version}));
  RETURN_IF_ERROR(SetAdaptation(transaction, origin, metrics.hypothesis, metrics.challenger));
  return SetDriftState(transaction, origin, metrics.drift_state);
}

base::Result<bool> TakeUpdateReport(Transaction& transaction, const ReportOrigin& origin,
                                    const protocol::UpdateReport& report) {
  // A bundle that is registered here is called what its publisher signed, not what the device says.
  ASSIGN_OR_RETURN(const auto known,
                   transaction.QueryOne("SELECT v.name, v.version, m.model_family FROM "
                                        "model_versions v JOIN models m ON m.name = v.name "
                                        "WHERE v.bundle = $1",
                                        {report.bundle}));
  ASSIGN_OR_RETURN(
      const std::int64_t changed,
      transaction.Execute(
          "UPDATE devices SET bundle = $4, model_name = $5, model_version = $6, model_family = $7, "
          "agent_version = $8, report_epoch = $3, report_seq = $2 "
          "WHERE device_id = $1 AND report_seq <= $2",
          {origin.device_id, origin.seq, origin.epoch, report.bundle,
           known ? known->Text("name") : report.name,
           known ? known->Text("version") : report.version,
           known ? known->Text("model_family") : report.model_family, origin.agent_version}));
  RETURN_IF_ERROR(Note(transaction, {.at = origin.at,
                                     .device_id = origin.device_id,
                                     .kind = KindOf(report.outcome),
                                     .text = Text(report),
                                     .ref = report.bundle}));
  return changed > 0;
}

base::Status TakeAdaptation(Transaction& transaction, const ReportOrigin& origin,
                            const protocol::AdaptationReport& report) {
  RETURN_IF_ERROR(SetAdaptation(transaction, origin, report.hypothesis, report.challenger));
  RETURN_IF_ERROR(SetDriftState(transaction, origin, report.state));
  const std::string served = base::StrCat("serves hypothesis ", report.hypothesis.value_or("none"),
                                          ", challenger ", report.challenger.value_or("none"));
  return Note(transaction, {.at = origin.at,
                            .device_id = origin.device_id,
                            .kind = report.state == "rolled_back" ? "rollback" : "adaptation",
                            .text = report.text.empty() ? served : report.text,
                            .ref = report.event_id.value_or("")});
}

base::Status TakeDriftSign(Transaction& transaction, const ReportOrigin& origin) {
  return SetDriftState(transaction, origin, "suspect");
}

}  // namespace tinysphere::fleet
