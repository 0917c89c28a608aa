// Fleet: the devices, how each came in, and who of them may still speak.
//
// A device is its key. It comes in with a one-time token, or because its fingerprint was written
// down beforehand, or it waits (pending) until a person has compared the fingerprint. Revoking and
// decommissioning are final for that key.

#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/access/attempt_limiter.h"
#include "tinysphere/access/server_keys.h"
#include "tinysphere/access/statements.h"
#include "tinysphere/fleet/presence.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/message.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"

namespace tinysphere::fleet {

inline constexpr int kPendingMax = 1000;

// May be used from several threads.
class Fleet {
 public:
  // All must outlive the fleet.
  Fleet(store::Database& database, base::Clock& clock, http::EventHub& events,
        const access::StatementSigner& signer, const access::ServerKeys& keys, Presence& presence);

  // POST /api/v1/devices/enroll: the answer is a statement ("enrolled" or "pending"), the same one
  // for the same key however often it is asked.
  base::Result<http::Response> Enroll(http::Request& request);

  // The router's device guard. For a request that a device signed: nothing if it may go on, and the
  // device counts as seen; otherwise the statement that turns it away (held while pending or
  // revoked, decommissioned).
  base::Result<std::optional<http::Response>> TurnAway(const http::Request& request);

  base::Result<base::Json> List(const http::Request& request);
  base::Result<base::Json> Get(const std::string& device_id);
  base::Result<base::Json> Accept(const std::string& device_id, const std::string& by);
  base::Result<base::Json> Revoke(const std::string& device_id, const std::string& by);
  base::Result<base::Json> Decommission(const std::string& device_id, const std::string& by);
  base::Result<base::Json> Rename(const std::string& device_id, const std::string& name,
                                  const std::string& by);
  // The mode the device is asked to be in; nullopt: the one its own configuration says.
  base::Result<base::Json> AskForMode(const std::string& device_id,
                                      const std::optional<std::string>& mode,
                                      const std::string& by);
  // How many of {"devices":[{"fingerprint","name"}]} were new.
  base::Result<base::Json> Preauthorise(const base::Json& body, const std::string& by);

  // Called in the transaction that revokes or decommissions a device, with its id and which of the
  // two. At most one; before the first request.
  using Gone = std::function<base::Status(store::Transaction&, const std::string& device_id,
                                          const std::string& how)>;
  void OnGone(Gone gone) { gone_ = std::move(gone); }

  // Called in the transaction that changes what a device is asked for. At most one; before the
  // first request.
  using Asked = std::function<base::Status(store::Transaction&, const std::string& device_id)>;
  void OnAsked(Asked asked) { asked_ = std::move(asked); }

  void AddRoutes(http::Router& router);

 private:
  struct Newcomer {
    std::string device_id;
    std::string fingerprint;
    base::Ed25519PublicKey key{};
    std::string name;
    std::string agent_version;
    std::optional<std::string> token;
  };

  base::Result<std::string> Admit(store::Transaction& transaction, const Newcomer& newcomer,
                                  base::Time now);
  base::Result<base::Json> ChangeState(const std::string& device_id, const std::string& state,
                                       const std::string& text, const std::string& by);
  base::Json DeviceJson(const store::Row& row, base::Time now) const;

  store::Database& database_;
  base::Clock& clock_;
  http::EventHub& events_;
  const access::StatementSigner& signer_;
  const access::ServerKeys& keys_;
  Presence& presence_;
  Gone gone_;
  Asked asked_;
  std::mutex limiter_mutex_;
  access::AttemptLimiter strangers_;  // New keys without a token, by address.
};

}  // namespace tinysphere::fleet
