// update_report.json: what a device runs, or why it does not. docs/formats/update_report.md.

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

inline constexpr std::string_view kUpdateReportFormat = "tinylcm-update-report/1";
inline constexpr std::string_view kUpdateReportPath = "update_report.json";

enum class UpdateOutcome {
  kRunning,     // After a start: this is what runs.
  kInstalled,   // A deployment took and passed its health window.
  kRolledBack,  // It took, failed its health window, and the one before runs again.
  kFailed,      // It never ran: download, signature, family, warm-up.
};
const char* Name(UpdateOutcome outcome);

struct UpdateReport {
  base::Time at{};
  std::string deployment_id;  // Empty where nobody asked for it.
  UpdateOutcome outcome = UpdateOutcome::kRunning;
  // What runs now.
  std::string bundle;
  std::string name;
  std::string version;
  std::string model_family;
  std::vector<std::string> labels;
  std::optional<std::string> previous_bundle;
  std::optional<std::string> attempted_bundle;  // Where it is not the one that runs.
  std::string detail;                           // For a person.

  std::optional<double> swap_gap_ms;
  std::optional<bool> golden_ok;
  std::optional<double> canary_accuracy;
  std::optional<double> agreement;  // With the one before, on shadow traffic.
  std::optional<double> latency_ms_p95;
  std::optional<std::uint64_t> rss_bytes;
  std::optional<std::string> hypothesis_kept;  // What of the adaptation went over.
  std::optional<std::string> challenger_kept;
  std::uint64_t labels_kept = 0;
  std::uint64_t labels_dropped = 0;

  friend bool operator==(const UpdateReport&, const UpdateReport&) = default;
};

base::Json ToJson(const UpdateReport& report);
base::Result<UpdateReport> ParseUpdateReport(std::string_view json);

}  // namespace protocol
