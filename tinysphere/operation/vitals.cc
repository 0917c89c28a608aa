#include "tinysphere/operation/vitals.h"

#include <algorithm>

#include "base/text.h"

namespace tinysphere::operation {

using base::Json;
using http::Request;
using http::Response;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

double SecondsSince(std::chrono::steady_clock::time_point begun) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begun).count();
}

// So that these figures are there from the start.
constexpr const char* kDeviceStates[] = {"pending", "active"};

}  // namespace

Vitals::Vitals(store::Database& database, store::ObjectStore& objects, base::Clock& clock,
               telemetry::Telemetry& telemetry, http::Authenticator& authenticator,
               const access::StatementSigner& signer, const fleet::Presence& presence,
               std::function<ProcessFigures()> process, bool trusts_loopback)
    : database_(database),
      objects_(objects),
      clock_(clock),
      telemetry_(telemetry),
      authenticator_(authenticator),
      signer_(signer),
      presence_(presence),
      process_(std::move(process)),
      trusts_loopback_(trusts_loopback),
      begun_(clock.Uptime()),
      online_(telemetry.MakeGauge("tinysphere_devices_online",
                                  "Devices heard of within three polls.", {})),
      database_answers_(telemetry.MakeGauge("tinysphere_database_answers",
                                            "1 if the database answered, 0 if not.", {})),
      objects_answer_(telemetry.MakeGauge("tinysphere_objects_answer",
                                          "1 if the object store took a write, 0 if not.", {})),
      resident_(telemetry.MakeGauge("process_resident_memory_bytes", "Resident memory.", {})),
      cpu_(telemetry.MakeCounter("process_cpu_seconds_total", "User and system time.", {})),
      open_files_(telemetry.MakeGauge("process_open_fds", "Open files.", {})),
      look_(clock, [this] { return Look(); }) {
  telemetry
      .MakeGauge("tinysphere_build_info", "1; the labels say which program this is.",
                 {{"version", std::string(kVersion)}})
      .Set(1);
  telemetry.MakeGauge("process_start_time_seconds", "When the process began, since 1970.", {})
      .Set(static_cast<double>(clock.Now().time_since_epoch().count()) / 1000);
  for (const char* state : kDeviceStates) {
    devices_.emplace(
        state, &telemetry.MakeGauge("tinysphere_devices", "Devices by state.", {{"state", state}}));
  }
  telemetry.BeforeReading([this] { SetGauges(); });
}

Seen Vitals::Look() {
  Seen seen;
  const auto asked_database = std::chrono::steady_clock::now();
  seen.database = database_.QueryOne("SELECT COUNT(*) AS n FROM settings").ok();
  seen.database_seconds = SecondsSince(asked_database);
  const auto asked_objects = std::chrono::steady_clock::now();
  seen.objects = objects_.Check().ok();
  seen.objects_seconds = SecondsSince(asked_objects);
  return seen;
}

bool Vitals::IsViewer(const Request& request) const {
  const auto identity = authenticator_.Authenticate(request, http::Access::kViewer);
  return identity.ok() && identity->is_person();
}

base::Result<Json> Vitals::Details(const Seen& seen) {
  ASSIGN_OR_RETURN(const auto jobs,
                   database_.QueryOne("SELECT COUNT(*) AS n, COALESCE(SUM(CASE WHEN state = "
                                      "'set_aside' THEN 1 ELSE 0 END), 0) AS set_aside FROM jobs "
                                      "WHERE state <> 'done' AND NOT (state = 'waiting' AND "
                                      "attempts = 0 AND due_at > $1)",
                                      {clock_.Now()}));
  ASSIGN_OR_RETURN(const auto migration,
                   database_.QueryOne("SELECT MAX(number) AS number FROM migrations"));
  const std::int64_t set_aside = jobs->Int("set_aside");
  return Json::MakeObject(
      {{"version", std::string(kVersion)},
       {"uptime_s", (clock_.Uptime() - begun_).count() / 1000},
       {"store_generation", signer_.store_generation()},
       {"migration", migration->Int("number")},
       {"database_ms", seen.database_seconds * 1000},
       {"objects_ms", seen.objects_seconds * 1000},
       {"jobs_waiting", jobs->Int("n") - set_aside},
       {"jobs_set_aside", set_aside},
       {"devices_online", static_cast<std::int64_t>(presence_.Online(clock_.Now()))},
       {"resident_bytes", static_cast<std::int64_t>(process_().resident_bytes)}});
}

Response Vitals::Health(const Request& request) {
  const Seen seen = look_.Get();
  const bool ok = seen.database && seen.objects;
  Json::Object answer = {{"ok", ok}, {"database", seen.database}, {"objects", seen.objects}};
  if (seen.database && IsViewer(request)) {
    const auto details = Details(seen);
    if (details.ok()) answer.emplace_back("details", *details);
  }
  return Response::Json(ok ? 200 : 503, Json(std::move(answer)));
}

base::Status Vitals::CountJobs() {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT kind, state, COUNT(*) AS n, MIN(created_at) AS oldest "
                                   "FROM jobs WHERE state <> 'done' GROUP BY kind, state"));
  for (const auto& [name, gauge] : jobs_) gauge->Set(0);
  for (const auto& [kind, gauge] : oldest_) gauge->Set(0);
  std::map<std::string, base::Time> oldest;
  for (const Row& row : rows) {
    const std::string kind = row.Text("kind");
    const std::string state = row.Text("state");
    telemetry::Gauge*& jobs = jobs_[{kind, state}];
    if (!jobs) {
      jobs = &telemetry_.MakeGauge("tinysphere_jobs", "Jobs that are not done.",
                                   {{"kind", kind}, {"state", state}});
    }
    jobs->Set(static_cast<double>(row.Int("n")));
    // What was set aside waits for a person, not for a worker.
    if (state == "set_aside") continue;
    const base::Time at = row.Time("oldest");
    const auto [known, is_new] = oldest.emplace(kind, at);
    if (!is_new) known->second = std::min(known->second, at);
  }
  for (const auto& [kind, at] : oldest) {
    telemetry::Gauge*& age = oldest_[kind];
    if (!age) {
      age = &telemetry_.MakeGauge("tinysphere_jobs_oldest_seconds",
                                  "How long the oldest job that waits has been waiting.",
                                  {{"kind", kind}});
    }
    // Jobs of before there was a note of their beginning count as new.
    const base::Duration waited = at == base::Time() ? base::Duration(0) : clock_.Now() - at;
    age->Set(std::max(0.0, static_cast<double>(waited.count()) / 1000));
  }
  return {};
}

base::Status Vitals::CountDevices() {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT state, COUNT(*) AS n FROM devices GROUP BY state"));
  for (const auto& [state, gauge] : devices_) gauge->Set(0);
  for (const Row& row : rows) {
    telemetry::Gauge*& devices = devices_[row.Text("state")];
    if (!devices) {
      devices = &telemetry_.MakeGauge("tinysphere_devices", "Devices by state.",
                                      {{"state", row.Text("state")}});
    }
    devices->Set(static_cast<double>(row.Int("n")));
  }
  return {};
}

// One reading at a time.
void Vitals::SetGauges() {
  const Seen seen = look_.Get();
  database_answers_.Set(seen.database ? 1 : 0);
  objects_answer_.Set(seen.objects ? 1 : 0);
  online_.Set(static_cast<double>(presence_.Online(clock_.Now())));
  const ProcessFigures process = process_();
  resident_.Set(static_cast<double>(process.resident_bytes));
  cpu_.Add(std::max(0.0, process.cpu_seconds - cpu_counted_));
  cpu_counted_ = std::max(cpu_counted_, process.cpu_seconds);
  open_files_.Set(static_cast<double>(process.open_files));
  // A database that does not answer says so above; its figures stay what they were.
  (void)CountJobs().ok();
  (void)CountDevices().ok();
}

base::Result<Response> Vitals::Metrics(const Request& request) {
  const bool came_through = request.headers.Has("Forwarded") ||
                            request.headers.Has("X-Forwarded-For") || request.headers.Has("Via");
  const bool is_near = trusts_loopback_ && request.peer.is_loopback && !came_through;
  if (!is_near && !IsViewer(request)) {
    Response response = http::ErrorResponse(401, "permission_denied",
                                            "the figures are for viewers: an API token is wanted");
    response.headers.Add("WWW-Authenticate", "Bearer realm=\"tinysphere\"");
    return response;
  }
  // Here rather than in SetGauges, where it would hold up every other reading.
  (void)look_.Get();
  return Response::Text(200, telemetry::kContentType, telemetry_.Read());
}

void Vitals::AddRoutes(http::Router& router) {
  router.Add(
      {.method = http::Method::kGet,
       .path = "/health",
       .access = http::Access::kOpen,
       .body = http::BodyRule::None(),
       .handler = [this](Request& request) -> base::Result<Response> { return Health(request); },
       .too_large = nullptr});
  router.Add({.method = http::Method::kGet,
              .path = "/metrics",
              .access = http::Access::kOpen,
              .body = http::BodyRule::None(),
              .handler = [this](Request& request) { return Metrics(request); },
              .too_large = nullptr});
}

}  // namespace tinysphere::operation
