// Rollouts: keeps the event logs of all rollouts, and hands each device its desired state.
//
// What may happen is decided in rollout.h, from the log alone; here lines are added to it and the
// tables that lists and polls read are brought up to date in the same transaction.

#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/update_report.h"
#include "tinysphere/access/statements.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/router.h"
#include "tinysphere/rollout/desired_states.h"
#include "tinysphere/rollout/rollout.h"
#include "tinysphere/store/database.h"

namespace tinysphere::rollout {

struct NewRollout {
  std::string name;
  std::string version;
  std::optional<std::vector<std::string>> devices;  // nullopt: all of the model family.
  std::string by;
};

// May be used from several threads.
class Rollouts {
 public:
  // All must outlive it.
  Rollouts(store::Database& database, base::Clock& clock, http::EventHub& events,
           const DesiredStates& desired, const access::StatementSigner& signer)
      : database_(database), clock_(clock), events_(events), desired_(desired), signer_(signer) {}

  // kNotFound for an unknown version, kConflict if no device would be part of it.
  base::Result<base::Json> Start(const NewRollout& rollout);
  base::Result<base::Json> Pause(const std::string& rollout_id, const std::string& by);
  base::Result<base::Json> Resume(const std::string& rollout_id, const std::string& by);
  base::Result<base::Json> Halt(const std::string& rollout_id, const std::string& by);
  base::Result<base::Json> Get(const std::string& rollout_id);
  base::Result<base::Json> List(const http::Request& request);

  // A device's signed word about what it runs, for the rollout it is part of. Gives the id of the
  // rollout it moved, "" if none.
  base::Result<std::string> TakeReport(store::Transaction& transaction,
                                       const std::string& device_id,
                                       const protocol::UpdateReport& report);

  // The device is part of no rollout any more: it was revoked or decommissioned (`how`).
  base::Status Leave(store::Transaction& transaction, const std::string& device_id,
                     const std::string& how);

  // Called in the transaction in which a rollout begins or comes into another state. At most one;
  // before the first.
  using Changed = std::function<base::Status(store::Transaction&, const std::string& rollout_id)>;
  void OnChanged(Changed changed) { changed_ = std::move(changed); }

  // GET /api/v1/devices/{device_id}/desired
  base::Result<http::Response> Desired(const http::Request& request);
  // TLCM-Desired-ETag and TLCM-Poll-After, on every answer to a device.
  void AddHints(const http::Request& request, http::Response& response);

  void AddRoutes(http::Router& router);

 private:
  base::Status Append(store::Transaction& transaction, const std::string& rollout_id,
                      const Event& event);
  base::Result<base::Json> AppendOrder(const std::string& rollout_id, EventKind kind,
                                       const std::string& by);
  base::Result<std::vector<std::string>> Members(store::Transaction& transaction,
                                                 const NewRollout& rollout,
                                                 const std::string& model_family);
  base::Status Include(store::Transaction& transaction, const std::string& rollout_id,
                       const std::string& bundle, const std::string& device_id, base::Time now);
  base::Status MarkTold(const std::string& device_id, const std::string& rollout_id);

  store::Database& database_;
  base::Clock& clock_;
  http::EventHub& events_;
  const DesiredStates& desired_;
  const access::StatementSigner& signer_;
  Changed changed_;
};

}  // namespace tinysphere::rollout
