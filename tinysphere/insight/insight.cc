#include "tinysphere/insight/insight.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "base/text.h"
#include "protocol/bundle.h"
#include "protocol/enrolment.h"
#include "protocol/package.h"
#include "tinysphere/access/enroll_tokens.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/http/answer.h"

namespace tinysphere::insight {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::Access;
using http::Answer;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

constexpr base::Duration kMinute{60'000};
constexpr base::Duration kHour{60 * 60'000};
constexpr std::size_t kRecent = 20;

// What arrived in the last hour, a point a minute.
base::Result<Json> Throughput(Transaction& transaction, base::Time now) {
  struct Point {
    std::int64_t packages = 0;
    std::int64_t inferences = 0;
  };
  std::map<std::int64_t, Point> points;  // By minute.
  ASSIGN_OR_RETURN(const Rows packages,
                   transaction.Query("SELECT received_at / 60000 AS minute, COUNT(*) AS n "
                                     "FROM packages WHERE received_at >= $1 "
                                     "GROUP BY received_at / 60000",
                                     {now - kHour}));
  for (const Row& row : packages) points[row.Int("minute")].packages = row.Int("n");
  ASSIGN_OR_RETURN(const Rows metrics,
                   transaction.Query("SELECT at / 60000 AS minute, document FROM metrics_points "
                                     "WHERE at >= $1 AND at <= $2",
                                     {now - kHour, now + kMinute}));
  for (const Row& row : metrics) {
    const Json document = row.Document("document");
    const Json* frames = document.Find("frames_window");
    if (frames != nullptr && frames->is_int()) {
      points[row.Int("minute")].inferences += frames->as_int();
    }
  }
  Json::Array items;
  for (const auto& [minute, point] : points) {
    items.push_back(Json::MakeObject({{"at", base::FormatTime(base::Time(minute * kMinute))},
                                      {"packages", point.packages},
                                      {"inferences", point.inferences}}));
  }
  return Json(std::move(items));
}

base::Result<std::int64_t> Count(Transaction& transaction, std::string_view sql) {
  ASSIGN_OR_RETURN(const auto row, transaction.QueryOne(sql));
  return row ? row->Int("n") : 0;
}

}  // namespace

base::Result<Json> Insight::Overview() {
  const base::Time now = clock_.Now();
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    std::int64_t online = 0;
    std::int64_t drifting = 0;
    std::int64_t pending = 0;
    std::int64_t total = 0;
    ASSIGN_OR_RETURN(const Rows devices,
                     transaction.Query("SELECT device_id, state, last_seen, drift_state "
                                       "FROM devices"));
    for (const Row& row : devices) {
      const std::string state = row.Text("state");
      if (state == "pending") pending += 1;
      if (state != "active") continue;
      total += 1;
      const auto seen = presence_.LastSeen(row.Text("device_id"), row.OptionalTime("last_seen"));
      if (presence_.IsOnline(seen, now)) online += 1;
      const std::string drift = row.Text("drift_state");
      if (drift != "stable" && drift != "learning") drifting += 1;
    }
    ASSIGN_OR_RETURN(const Rows by_state,
                     transaction.Query("SELECT state, COUNT(*) AS n FROM drift_events "
                                       "GROUP BY state"));
    std::int64_t open = 0;
    std::int64_t events = 0;
    for (const Row& row : by_state) {
      if (row.Text("state") == "open") open = row.Int("n");
      events += row.Int("n");
    }
    ASSIGN_OR_RETURN(const auto packages,
                     transaction.QueryOne("SELECT COALESCE(SUM(packages), 0) AS stored, "
                                          "COALESCE(SUM(duplicates), 0) AS duplicates, "
                                          "COALESCE(SUM(bytes), 0) AS bytes, "
                                          "MAX(last_at) AS last_at FROM package_counts"));
    ASSIGN_OR_RETURN(const std::int64_t refused,
                     Count(transaction,
                           "SELECT COALESCE(SUM(count), 0) AS n FROM counters WHERE "
                           "name = 'refused' OR name = 'conflicts'"));
    ASSIGN_OR_RETURN(
        const std::int64_t feedback_pending,
        Count(transaction, "SELECT COUNT(*) AS n FROM feedback WHERE state <> 'applied'"));
    ASSIGN_OR_RETURN(
        const std::int64_t feedback_applied,
        Count(transaction, "SELECT COUNT(*) AS n FROM feedback WHERE state = 'applied'"));
    ASSIGN_OR_RETURN(const std::int64_t labels,
                     Count(transaction,
                           "SELECT COUNT(*) AS n FROM (SELECT DISTINCT event_id, sample_id FROM "
                           "verdicts WHERE is_current = 1 AND label IS NOT NULL) AS labelled"));
    ASSIGN_OR_RETURN(const std::int64_t active,
                     Count(transaction,
                           "SELECT COUNT(*) AS n FROM rollouts WHERE state = 'running' OR "
                           "state = 'paused'"));
    ASSIGN_OR_RETURN(
        const Rows jobs,
        // What is put down for later (tomorrow's aggregate) waits for nobody but its day.
        transaction.Query("SELECT state, COUNT(*) AS n FROM jobs WHERE "
                          "state <> 'done' AND NOT (state = 'waiting' AND "
                          "attempts = 0 AND due_at > $1) GROUP BY state",
                          {now}));
    std::int64_t waiting = 0;
    std::int64_t failed = 0;
    for (const Row& row : jobs) {
      (row.Text("state") == "set_aside" ? failed : waiting) += row.Int("n");
    }
    ASSIGN_OR_RETURN(Json throughput, Throughput(transaction, now));
    ASSIGN_OR_RETURN(Json recent, fleet::RecentHappenings(transaction, kRecent));
    const auto last_at = packages->OptionalTime("last_at");
    return Json::MakeObject(
        {{"server_time", base::FormatTime(now)},
         {"devices", Json::MakeObject({{"total", total},
                                       {"online", online},
                                       {"drifting", drifting},
                                       {"pending", pending}})},
         {"events",
          Json::MakeObject({{"open", open}, {"answered", events - open}, {"total", events}})},
         {"packages",
          Json::MakeObject({{"stored", packages->Int("stored")},
                            {"duplicates", packages->Int("duplicates")},
                            {"refused", refused},
                            {"bytes", packages->Int("bytes")},
                            {"last_at", last_at ? Json(base::FormatTime(*last_at)) : Json()}})},
         {"feedback",
          Json::MakeObject({{"pending", feedback_pending}, {"applied", feedback_applied}})},
         {"labels", labels},
         {"rollouts", Json::MakeObject({{"active", active}})},
         {"throughput", std::move(throughput)},
         {"recent", std::move(recent)},
         {"jobs", Json::MakeObject({{"waiting", waiting}, {"failed", failed}})},
         {"judging", judging_ ? judging_() : Json()}});
  });
}

base::Result<Json> Insight::PackagesSummary() {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT device_id, epoch, packages AS n, seq_min, seq_max, "
                                   "duplicates FROM package_counts "
                                   "ORDER BY device_id, seq_min, epoch"));
  std::int64_t stored = 0;
  std::int64_t duplicates = 0;
  Json::Array by_device;
  std::string device_id;
  std::int64_t of_device = 0;
  Json::Array epochs;
  const auto close = [&] {
    if (device_id.empty()) return;
    by_device.push_back(Json::MakeObject(
        {{"device_id", device_id}, {"stored", of_device}, {"epochs", std::move(epochs)}}));
    epochs = {};
    of_device = 0;
  };
  for (const Row& row : rows) {
    if (row.Text("device_id") != device_id) close();
    device_id = row.Text("device_id");
    stored += row.Int("n");
    of_device += row.Int("n");
    duplicates += row.Int("duplicates");
    epochs.push_back(Json::MakeObject({{"epoch", row.Text("epoch")},
                                       {"count", row.Int("n")},
                                       {"seq_min", row.Int("seq_min")},
                                       {"seq_max", row.Int("seq_max")}}));
  }
  close();
  return Json::MakeObject(
      {{"stored", stored}, {"duplicates", duplicates}, {"by_device", std::move(by_device)}});
}

base::Result<Json> Insight::Identity(std::string_view challenge) {
  const bool is_plain = std::all_of(challenge.begin(), challenge.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
  });
  if (challenge.size() > 128 || !is_plain) {
    return Error{ErrorCode::kInvalidArgument, "challenge: at most 128 of [A-Za-z0-9_-]"};
  }
  ASSIGN_OR_RETURN(const auto publishers, access::PublisherKeys(database_));
  std::optional<base::Ed25519PublicKey> publisher;
  if (!publishers.empty()) publisher = publishers.back();
  return protocol::ToJson(protocol::MakeIdentity(
      keys_.signing_key, publisher,
      {std::string(protocol::kPackageFormat), std::string(protocol::kBundleFormat), "tar.gz", "zip",
       "tar", "tar.zst"},
      challenge, signer_.store_generation(), clock_.Now()));
}

void Insight::AddRoutes(http::Router& router) {
  router.Add(
      {.method = Method::kGet,
       .path = "/api/v1/identity",
       .access = Access::kOpen,
       .body = BodyRule::None(),
       .handler = [this](Request& request) { return Answer(Identity(request.Query("challenge"))); },
       .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/overview",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this](Request&) { return Answer(Overview()); },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/packages/summary",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this](Request&) { return Answer(PackagesSummary()); },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/events",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this](Request& request) -> base::Result<Response> {
                return Response::Events(events_.Subscribe(
                    [this, who = request.identity] { return people_.IsStillWelcome(who); }));
              },
              .too_large = nullptr});
}

}  // namespace tinysphere::insight
