// Insight: the figures of the whole fleet, and the stream that says when they changed.

#pragma once

#include <functional>
#include <mutex>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/access/people.h"
#include "tinysphere/access/server_keys.h"
#include "tinysphere/access/statements.h"
#include "tinysphere/fleet/presence.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"

namespace tinysphere::insight {

// May be used from several threads.
class Insight {
 public:
  // All must outlive it.
  Insight(store::Database& database, base::Clock& clock, http::EventHub& events,
          access::People& people, const access::StatementSigner& signer,
          const access::ServerKeys& keys, const fleet::Presence& presence)
      : database_(database),
        clock_(clock),
        events_(events),
        people_(people),
        signer_(signer),
        keys_(keys),
        presence_(presence) {}

  // Of more than 5,000 devices it is counted every two seconds at most, and the same for all.
  base::Result<base::Json> Overview();
  // What the overview says under "judging". At most one; before the first request.
  void OnJudging(std::function<base::Json()> judging) { judging_ = std::move(judging); }
  // Some devices at a time, by their ids.
  base::Result<base::Json> PackagesSummary(const http::Request& request);
  // Who this server is, proven over the caller's challenge (PROTOCOL 1).
  base::Result<base::Json> Identity(std::string_view challenge);

  // Also the event stream.
  void AddRoutes(http::Router& router);

 private:
  base::Result<base::Json> CountOverview(base::Time now);

  store::Database& database_;
  base::Clock& clock_;
  http::EventHub& events_;
  access::People& people_;
  const access::StatementSigner& signer_;
  const access::ServerKeys& keys_;
  const fleet::Presence& presence_;

  std::function<base::Json()> judging_;

  std::mutex overview_mutex_;
  base::Json overview_;  // Null: none that is kept.
  base::Time counted_at_{};
};

}  // namespace tinysphere::insight
