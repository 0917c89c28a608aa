#include "tinysphere/rollout/desired_states.h"

#include <optional>
#include <utility>

#include "base/crypto.h"
#include "base/json.h"
#include "protocol/desired.h"
#include "tinysphere/rollout/rollout.h"

namespace tinysphere::rollout {
namespace {

constexpr std::int64_t kRequestsMax = 1000;  // As many as the document may hold.

// The target of the newest rollout that offers the device one.
base::Status FillTarget(store::Transaction& transaction, const std::string& device_id,
                        protocol::Desired& desired) {
  ASSIGN_OR_RETURN(
      const store::Rows rows,
      transaction.Query(
          "SELECT r.rollout_id, r.name, r.version, r.bundle, r.state AS rollout_state, "
          "rd.state AS device_state, b.archive_sha256, b.bytes FROM rollout_devices rd "
          "JOIN rollouts r ON r.rollout_id = rd.rollout_id "
          "JOIN bundles b ON b.bundle = r.bundle WHERE rd.device_id = $1 "
          "ORDER BY r.created_at DESC, r.rollout_id DESC",
          {device_id}));
  for (const store::Row& row : rows) {
    ASSIGN_OR_RETURN(const RolloutState rollout, ParseRolloutState(row.Text("rollout_state")));
    ASSIGN_OR_RETURN(const DeviceState device, ParseDeviceState(row.Text("device_state")));
    if (!Offers(rollout, device)) continue;
    desired.deployment_id = row.Text("rollout_id");
    desired.action = protocol::DesiredAction::kInstall;
    desired.target = protocol::Desired::Target{
        .name = row.Text("name"),
        .version = row.Text("version"),
        .bundle = row.Text("bundle"),
        .archive_sha256 = row.Text("archive_sha256"),
        .bytes = static_cast<std::uint64_t>(row.Int("bytes")),
    };
    return {};
  }
  return {};
}

}  // namespace

base::Status DesiredStates::Refresh(store::Transaction& transaction,
                                    const std::string& device_id) const {
  protocol::Desired desired;
  RETURN_IF_ERROR(FillTarget(transaction, device_id, desired));
  ASSIGN_OR_RETURN(const store::Rows waiting,
                   transaction.Query("SELECT feedback_id FROM feedback WHERE device_id = $1 AND "
                                     "state <> 'applied' ORDER BY created_at, feedback_id",
                                     {device_id}));
  for (const store::Row& row : waiting) desired.feedback.push_back(row.Text("feedback_id"));
  ASSIGN_OR_RETURN(const store::Rows requests,
                   transaction.Query("SELECT event_id, more_asked FROM drift_events WHERE "
                                     "device_id = $1 AND is_more_awaited = 1 "
                                     "ORDER BY received_at, event_id LIMIT $2",
                                     {device_id, kRequestsMax}));
  for (const store::Row& row : requests) {
    desired.requests.push_back(
        {.event_id = row.Text("event_id"), .samples = row.Int("more_asked")});
  }
  desired.poll_after_s = std::chrono::ceil<std::chrono::seconds>(poll_).count();

  ASSIGN_OR_RETURN(const auto before,
                   transaction.QueryOne("SELECT desired_revision, desired, desired_mode FROM "
                                        "devices WHERE device_id = $1",
                                        {device_id}));
  if (!before) return {};
  if (std::string mode = before->Text("desired_mode"); !mode.empty()) {
    desired.mode = std::move(mode);
  }
  desired.revision = before->Int("desired_revision");
  if (before->Text("desired") == protocol::ToJson(desired).Write()) return {};

  desired.revision += 1;
  const std::string document = protocol::ToJson(desired).Write();
  const auto changed = transaction.Execute(
      "UPDATE devices SET desired_revision = $2, desired = $3, desired_etag = $4 "
      "WHERE device_id = $1",
      {device_id, desired.revision, document,
       base::Sha256Hex(base::AsBytes(document)).substr(0, 32)});
  if (!changed.ok()) return changed.error();
  return {};
}

base::Status DesiredStates::RefreshAll(store::Database& database) const {
  return database.Write([&](store::Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const store::Rows devices,
                     transaction.Query("SELECT device_id FROM devices ORDER BY device_id"));
    for (const store::Row& row : devices) {
      RETURN_IF_ERROR(Refresh(transaction, row.Text("device_id")));
    }
    return {};
  });
}

}  // namespace tinysphere::rollout
