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
#include "tinysphere/http/page.h"

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

// To count a large fleet costs a quarter of a second, whoever looks and however many they are.
constexpr std::int64_t kLargeFleet = 5'000;
constexpr base::Duration kCountedFor{2'000};

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
  // Who comes while it is counted waits for that count.
  const std::lock_guard lock(overview_mutex_);
  const base::Time now = clock_.Now();
  const bool is_kept =
      overview_.is_object() && counted_at_ <= now && now - counted_at_ < kCountedFor;
  if (!is_kept) {
    ASSIGN_OR_RETURN(overview_, CountOverview(now));
    counted_at_ = now;
  }
  Json overview = overview_;
  overview.Set("server_time", base::FormatTime(now));
  overview.Set("judging", judging_ ? judging_() : Json());
  if (overview.Find("devices")->Find("total")->as_int() <= kLargeFleet) overview_ = Json();
  return overview;
}

base::Result<Json> Insight::CountOverview(base::Time now) {
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    std::int64_t online = 0;
    std::int64_t drifting = 0;
    std::int64_t pending = 0;
    std::int64_t total = 0;
    ASSIGN_OR_RETURN(const Rows devices,
                     transaction.Query("SELECT state, drift_state, COUNT(*) AS n, "
                                       "SUM(CASE WHEN last_seen >= $1 THEN 1 ELSE 0 END) AS online "
                                       "FROM devices GROUP BY state, drift_state",
                                       {presence_.OnlineSince(now)}));
    for (const Row& row : devices) {
      const std::string state = row.Text("state");
      const std::int64_t count = row.Int("n");
      if (state == "pending") pending += count;
      if (state != "active") continue;
      total += count;
      online += row.Int("online");
      const std::string drift = row.Text("drift_state");
      if (drift != "stable" && drift != "learning") drifting += count;
    }
    // The database hears of who was seen a little later.
    online = std::min(total, std::max(online, static_cast<std::int64_t>(presence_.Online(now))));
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
        {{"devices", Json::MakeObject({{"total", total},
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
         {"jobs", Json::MakeObject({{"waiting", waiting}, {"failed", failed}})}});
  });
}

base::Result<Json> Insight::PackagesSummary(const Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(500, 500);
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    ASSIGN_OR_RETURN(
        const auto all,
        transaction.QueryOne("SELECT CAST(COALESCE(SUM(packages), 0) AS BIGINT) AS stored, "
                             "CAST(COALESCE(SUM(duplicates), 0) AS BIGINT) AS duplicates "
                             "FROM package_counts"));
    ASSIGN_OR_RETURN(
        const Rows rows,
        transaction.Query("SELECT device_id, epoch, packages, seq_min, seq_max FROM package_counts "
                          "WHERE device_id IN (SELECT DISTINCT device_id FROM package_counts "
                          "WHERE device_id > $1 ORDER BY device_id LIMIT $2) "
                          "ORDER BY device_id, seq_min, epoch",
                          {cursor ? cursor->text : "", limit + 1}));
    std::vector<std::pair<std::string, Json>> devices;
    std::int64_t stored = 0;
    Json::Array epochs;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::string device_id = rows[i].Text("device_id");
      stored += rows[i].Int("packages");
      epochs.push_back(Json::MakeObject({{"epoch", rows[i].Text("epoch")},
                                         {"count", rows[i].Int("packages")},
                                         {"seq_min", rows[i].Int("seq_min")},
                                         {"seq_max", rows[i].Int("seq_max")}}));
      if (i + 1 < rows.size() && rows[i + 1].Text("device_id") == device_id) continue;
      devices.emplace_back(device_id, Json::MakeObject({{"device_id", device_id},
                                                        {"stored", std::exchange(stored, 0)},
                                                        {"epochs", std::exchange(epochs, {})}}));
    }
    Json page = http::MakePage(
        std::move(devices), limit, [](const auto& device) { return device.second; },
        [](const auto& device) { return http::Cursor{.number = 0, .text = device.first}; });
    return Json::MakeObject({{"stored", all->Int("stored")},
                             {"duplicates", all->Int("duplicates")},
                             {"by_device", *page.Find("items")},
                             {"next", *page.Find("next")}});
  });
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
              .handler = [this](Request& request) { return Answer(PackagesSummary(request)); },
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
