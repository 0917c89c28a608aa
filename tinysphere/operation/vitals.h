// Vitals: whether the server is well (GET /health), and its figures for Prometheus (GET /metrics).
//
// Anybody may ask for the health and learns whether database and objects answer; who is signed in
// learns more. The figures are for viewers, and for whoever asks from this machine, unless a proxy
// stands in front: then everybody would be asking from this machine.

#pragma once

#include <functional>
#include <map>
#include <string>
#include <utility>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/access/statements.h"
#include "tinysphere/fleet/presence.h"
#include "tinysphere/http/router.h"
#include "tinysphere/operation/process.h"
#include "tinysphere/operation/shared_look.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"
#include "tinysphere/telemetry/telemetry.h"

namespace tinysphere::operation {

inline constexpr std::string_view kVersion = "0.1.0";

// May be used from several threads.
class Vitals {
 public:
  // `trusts_loopback`: no proxy stands in front. All must outlive it.
  Vitals(store::Database& database, store::ObjectStore& objects, base::Clock& clock,
         telemetry::Telemetry& telemetry, http::Authenticator& authenticator,
         const access::StatementSigner& signer, const fleet::Presence& presence,
         std::function<ProcessFigures()> process, bool trusts_loopback);

  void AddRoutes(http::Router& router);

 private:
  // Looking writes an object.
  Seen Look();
  http::Response Health(const http::Request& request);
  base::Result<base::Json> Details(const Seen& seen);
  base::Result<http::Response> Metrics(const http::Request& request);
  bool IsViewer(const http::Request& request) const;
  void SetGauges();
  base::Status CountJobs();
  base::Status CountDevices();

  store::Database& database_;
  store::ObjectStore& objects_;
  base::Clock& clock_;
  telemetry::Telemetry& telemetry_;
  http::Authenticator& authenticator_;
  const access::StatementSigner& signer_;
  const fleet::Presence& presence_;
  const std::function<ProcessFigures()> process_;
  const bool trusts_loopback_;
  const base::Duration begun_;

  telemetry::Gauge& online_;
  telemetry::Gauge& database_answers_;
  telemetry::Gauge& objects_answer_;
  telemetry::Gauge& resident_;
  telemetry::Counter& cpu_;
  double cpu_counted_ = 0;
  telemetry::Gauge& open_files_;
  // Of the reading before: a kind of job that is gone counts 0 rather than what it last did.
  std::map<std::pair<std::string, std::string>, telemetry::Gauge*> jobs_;
  std::map<std::string, telemetry::Gauge*> oldest_;
  std::map<std::string, telemetry::Gauge*> devices_;

  // Anybody may ask.
  SharedLook look_;
};

}  // namespace tinysphere::operation
