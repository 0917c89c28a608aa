#include "tinysphere/rollout/rollouts.h"

#include <limits>
#include <map>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "protocol/desired.h"
#include "protocol/statement.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/http/page.h"
#include "tinysphere/store/conditions.h"

namespace tinysphere::rollout {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

// How many of a rollout's devices are named in an answer; its counts are of all of them.
constexpr std::size_t kDevicesOfOne = 500;
constexpr std::size_t kDevicesInList = 25;
constexpr std::int64_t kSmallRollout = 1'000;  // Devices.

constexpr std::string_view kSelectRollout =
    "SELECT rollout_id, name, version, bundle, state, target, created_at, created_by "
    "FROM rollouts ";

base::Result<std::vector<Event>> ReadLog(Transaction& transaction, const std::string& rollout_id) {
  ASSIGN_OR_RETURN(const Rows rows,
                   transaction.Query("SELECT at, kind, device_id, bundle, detail "
                                     "FROM rollout_events WHERE rollout_id = $1 ORDER BY entry",
                                     {rollout_id}));
  std::vector<Event> log;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(const EventKind kind, ParseEventKind(row.Text("kind")));
    log.push_back({.at = row.Time("at"),
                   .kind = kind,
                   .device_id = row.Text("device_id"),
                   .bundle = row.Text("bundle"),
                   .detail = row.Text("detail")});
  }
  return log;
}

struct Kept {
  std::string state;
  base::Time at{};
  std::string detail;
};

base::Result<std::map<std::string, Kept>> ReadKept(Transaction& transaction,
                                                   const std::string& rollout_id) {
  ASSIGN_OR_RETURN(const Rows rows,
                   transaction.Query("SELECT device_id, state, at, detail FROM rollout_devices "
                                     "WHERE rollout_id = $1",
                                     {rollout_id}));
  std::map<std::string, Kept> kept;
  for (const Row& row : rows) {
    kept[row.Text("device_id")] = {
        .state = row.Text("state"), .at = row.Time("at"), .detail = row.Text("detail")};
  }
  return kept;
}

}  // namespace

// Adds a line to the log, and brings what is read elsewhere up to what the log now says.
base::Status Rollouts::Append(Transaction& transaction, const std::string& rollout_id,
                              const Event& event) {
  const auto added = transaction.Execute(
      "INSERT INTO rollout_events (rollout_id, entry, at, kind, device_id, bundle, detail) "
      "SELECT $1, COALESCE(MAX(entry), 0) + 1, $2, $3, $4, $5, $6 FROM rollout_events "
      "WHERE rollout_id = $1",
      {rollout_id, event.at, Name(event.kind), event.device_id, event.bundle, event.detail});
  if (!added.ok()) return added.error();

  ASSIGN_OR_RETURN(const auto rollout,
                   transaction.QueryOne("SELECT bundle, state FROM rollouts WHERE rollout_id = $1",
                                        {rollout_id}));
  if (!rollout) return Error{ErrorCode::kNotFound, "no rollout is called " + rollout_id};
  ASSIGN_OR_RETURN(const std::vector<Event> log, ReadLog(transaction, rollout_id));
  const Progress progress = Replay(rollout->Text("bundle"), log);
  const bool is_other_state = rollout->Text("state") != Name(progress.state);
  if (is_other_state) {
    const auto changed = transaction.Execute("UPDATE rollouts SET state = $2 WHERE rollout_id = $1",
                                             {rollout_id, Name(progress.state)});
    if (!changed.ok()) return changed.error();
  }
  ASSIGN_OR_RETURN(const auto kept, ReadKept(transaction, rollout_id));
  for (const auto& [device_id, device] : progress.devices) {
    const auto before = kept.find(device_id);
    const bool is_other = before == kept.end() || before->second.state != Name(device.state) ||
                          before->second.detail != device.detail;
    if (is_other) {
      const auto changed = transaction.Execute(
          "INSERT INTO rollout_devices (rollout_id, device_id, state, at, detail) "
          "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (rollout_id, device_id) DO UPDATE SET "
          "state = $3, at = $4, detail = $5",
          {rollout_id, device_id, Name(device.state), device.at, device.detail});
      if (!changed.ok()) return changed.error();
    }
    if (is_other || is_other_state) RETURN_IF_ERROR(desired_.Refresh(transaction, device_id));
  }
  if (is_other_state && changed_) RETURN_IF_ERROR(changed_(transaction, rollout_id));
  return {};
}

base::Result<std::vector<std::string>> Rollouts::Members(Transaction& transaction,
                                                         const NewRollout& rollout,
                                                         const std::string& model_family) {
  std::vector<std::string> members;
  if (!rollout.devices) {
    ASSIGN_OR_RETURN(const Rows rows,
                     transaction.Query("SELECT device_id FROM devices WHERE state = 'active' AND "
                                       "model_family = $1 ORDER BY device_id",
                                       {model_family}));
    for (const Row& row : rows) members.push_back(row.Text("device_id"));
    return members;
  }
  for (const std::string& device_id : *rollout.devices) {
    ASSIGN_OR_RETURN(const auto row, transaction.QueryOne("SELECT state, model_family FROM devices "
                                                          "WHERE device_id = $1",
                                                          {device_id}));
    if (!row) return Error{ErrorCode::kNotFound, "rollout: no device is called " + device_id};
    if (row->Text("state") != "active") {
      return Error{ErrorCode::kConflict,
                   base::StrCat("rollout: ", device_id, " is ", row->Text("state"))};
    }
    const std::string family = row->Text("model_family");
    if (!family.empty() && family != model_family) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("rollout: ", device_id, " runs the model family ", family, ", not ",
                                model_family)};
    }
    members.push_back(device_id);
  }
  return members;
}

// Takes a device into a rollout: out of every older one that has not reached it yet, and at once to
// the end if its last signed report says that it runs the bundle.
base::Status Rollouts::Include(Transaction& transaction, const std::string& rollout_id,
                               const std::string& bundle, const std::string& device_id,
                               base::Time now) {
  ASSIGN_OR_RETURN(
      const Rows older,
      transaction.Query("SELECT rollout_id FROM rollout_devices WHERE device_id = $1 AND "
                        "rollout_id <> $2 AND (state = 'pending' OR state = 'told')",
                        {device_id, rollout_id}));
  RETURN_IF_ERROR(Append(transaction, rollout_id,
                         {.at = now,
                          .kind = EventKind::kIncluded,
                          .device_id = device_id,
                          .bundle = "",
                          .detail = ""}));
  for (const Row& row : older) {
    RETURN_IF_ERROR(Append(transaction, row.Text("rollout_id"),
                           {.at = now,
                            .kind = EventKind::kSuperseded,
                            .device_id = device_id,
                            .bundle = "",
                            .detail = "a newer rollout took over"}));
  }
  ASSIGN_OR_RETURN(
      const auto device,
      transaction.QueryOne("SELECT bundle FROM devices WHERE device_id = $1", {device_id}));
  if (device && device->Text("bundle") == bundle) {
    RETURN_IF_ERROR(Append(transaction, rollout_id,
                           {.at = now,
                            .kind = EventKind::kReport,
                            .device_id = device_id,
                            .bundle = bundle,
                            .detail = "ran it already"}));
  }
  return {};
}

base::Status Rollouts::Leave(Transaction& transaction, const std::string& device_id,
                             const std::string& how) {
  ASSIGN_OR_RETURN(
      const Rows rows,
      transaction.Query("SELECT rollout_id FROM rollout_devices WHERE device_id = $1 AND "
                        "(state = 'pending' OR state = 'told')",
                        {device_id}));
  const base::Time now = clock_.Now();
  for (const Row& row : rows) {
    RETURN_IF_ERROR(Append(transaction, row.Text("rollout_id"),
                           {.at = now,
                            .kind = EventKind::kGone,
                            .device_id = device_id,
                            .bundle = "",
                            .detail = how}));
  }
  return {};
}

base::Result<Json> Rollouts::Start(const NewRollout& rollout) {
  const base::Time now = clock_.Now();
  const std::string rollout_id = "r-" + base::RandomHex(8);
  std::vector<std::string> members;
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(
        const auto version,
        transaction.QueryOne("SELECT v.bundle, v.stage, m.model_family FROM model_versions v "
                             "JOIN models m ON m.name = v.name WHERE v.name = $1 AND "
                             "v.version = $2",
                             {rollout.name, rollout.version}));
    if (!version) {
      return Error{ErrorCode::kNotFound,
                   base::StrCat("rollout: no version ", rollout.version, " of ", rollout.name)};
    }
    if (version->Text("stage") == "archived") {
      return Error{ErrorCode::kConflict, base::StrCat("rollout: version ", rollout.version, " of ",
                                                      rollout.name, " is archived")};
    }
    const std::string bundle = version->Text("bundle");
    ASSIGN_OR_RETURN(members, Members(transaction, rollout, version->Text("model_family")));
    if (members.empty()) {
      return Error{ErrorCode::kConflict,
                   base::StrCat("rollout: no active device runs the model family ",
                                version->Text("model_family"))};
    }
    const char* target = rollout.devices ? "devices" : "model_family";
    const auto added = transaction.Execute(
        "INSERT INTO rollouts (rollout_id, name, version, bundle, state, target, created_at, "
        "created_by) VALUES ($1, $2, $3, $4, 'running', $5, $6, $7)",
        {rollout_id, rollout.name, rollout.version, bundle,
         Json::MakeObject({{"kind", target}}).Write(), now, rollout.by});
    if (!added.ok()) return added.error();
    for (const std::string& device_id : members) {
      RETURN_IF_ERROR(Include(transaction, rollout_id, bundle, device_id, now));
      RETURN_IF_ERROR(fleet::Note(
          transaction,
          {.at = now,
           .device_id = device_id,
           .kind = "update",
           .text = base::StrCat(rollout.by, " rolls out ", rollout.name, " ", rollout.version),
           .ref = rollout_id}));
    }
    // A version that goes to devices is in production, and says so.
    const auto staged = transaction.Execute(
        "UPDATE model_versions SET stage = 'production' WHERE name = $1 AND version = $2 AND "
        "stage = 'staging'",
        {rollout.name, rollout.version});
    if (!staged.ok()) return staged.error();
    if (changed_) RETURN_IF_ERROR(changed_(transaction, rollout_id));
    return access::WriteAudit(transaction,
                              {.at = now,
                               .who = rollout.by,
                               .action = "rollout.start",
                               .subject = rollout_id,
                               .detail = base::StrCat(rollout.name, " ", rollout.version, " to ",
                                                      members.size(), " devices")});
  });
  if (!written.ok()) return written.error();
  events_.Publish("rollout", Json::MakeObject({{"id", rollout_id}}));
  for (const std::string& device_id : members) {
    events_.Publish("device", Json::MakeObject({{"id", device_id}}));
  }
  return Get(rollout_id);
}

base::Result<Json> Rollouts::AppendOrder(const std::string& rollout_id, EventKind kind,
                                         const std::string& by) {
  const base::Time now = clock_.Now();
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(
        const auto rollout,
        transaction.QueryOne("SELECT state FROM rollouts WHERE rollout_id = $1", {rollout_id}));
    if (!rollout) return Error{ErrorCode::kNotFound, "no rollout is called " + rollout_id};
    const std::string state = rollout->Text("state");
    const bool makes_sense =
        (kind == EventKind::kPaused && state == "running") ||
        (kind == EventKind::kResumed && state == "paused") ||
        (kind == EventKind::kHalted && (state == "running" || state == "paused"));
    if (!makes_sense) {
      return Error{ErrorCode::kConflict, base::StrCat("rollout ", rollout_id, " is ", state,
                                                      "; it cannot be ", Name(kind))};
    }
    RETURN_IF_ERROR(Append(transaction, rollout_id,
                           {.at = now,
                            .kind = kind,
                            .device_id = "",
                            .bundle = "",
                            .detail = base::StrCat(Name(kind), " by ", by)}));
    return access::WriteAudit(transaction, {.at = now,
                                            .who = by,
                                            .action = base::StrCat("rollout.", Name(kind)),
                                            .subject = rollout_id,
                                            .detail = ""});
  });
  if (!written.ok()) return written.error();
  events_.Publish("rollout", Json::MakeObject({{"id", rollout_id}}));
  return Get(rollout_id);
}

base::Result<Json> Rollouts::Pause(const std::string& rollout_id, const std::string& by) {
  return AppendOrder(rollout_id, EventKind::kPaused, by);
}

base::Result<Json> Rollouts::Resume(const std::string& rollout_id, const std::string& by) {
  return AppendOrder(rollout_id, EventKind::kResumed, by);
}

base::Result<Json> Rollouts::Halt(const std::string& rollout_id, const std::string& by) {
  return AppendOrder(rollout_id, EventKind::kHalted, by);
}

namespace {

// How the devices of a rollout stand: how many in which state, and some of them.
struct Standing {
  std::map<std::string, std::int64_t> counts;
  std::int64_t total = 0;
  Json::Array devices;
};

// Those a person has to look at come before those that are done.
constexpr std::string_view kFirstToLookAt =
    "ORDER BY CASE state WHEN 'failed' THEN 0 WHEN 'told' THEN 1 WHEN 'pending' THEN 2 ELSE 3 END, "
    "device_id";

base::Result<std::map<std::string, Standing>> ReadStandings(
    Transaction& transaction, const std::vector<std::string>& rollout_ids,
    std::size_t devices_max) {
  store::Conditions of_all;
  of_all.AddIn("rollout_id", rollout_ids);
  ASSIGN_OR_RETURN(const Rows by_state,
                   transaction.Query(base::StrCat("SELECT rollout_id, state, COUNT(*) AS n "
                                                  "FROM rollout_devices",
                                                  of_all.sql(), " GROUP BY rollout_id, state"),
                                     of_all.params()));
  std::map<std::string, Standing> standings;
  for (const Row& row : by_state) {
    Standing& standing = standings[row.Text("rollout_id")];
    standing.counts[row.Text("state")] = row.Int("n");
    standing.total += row.Int("n");
  }
  // Small ones are asked for together; of a large one the first few are found without sorting all.
  std::vector<std::string> small;
  std::vector<Rows> answers;
  constexpr std::string_view kColumns =
      "SELECT rd.rollout_id, rd.device_id, COALESCE(d.name, rd.device_id) AS device_name, "
      "rd.state, rd.at, rd.detail FROM (SELECT rollout_id, device_id, state, at, detail";
  constexpr std::string_view kNamed = ") rd LEFT JOIN devices d ON d.device_id = rd.device_id ";
  constexpr std::string_view kOrder = "ORDER BY rd.rollout_id, device_name, rd.device_id";
  for (const auto& [rollout_id, standing] : standings) {
    if (standing.total <= kSmallRollout) {
      small.push_back(rollout_id);
      continue;
    }
    ASSIGN_OR_RETURN(
        answers.emplace_back(),
        transaction.Query(base::StrCat(kColumns, " FROM rollout_devices WHERE rollout_id = $1 ",
                                       kFirstToLookAt, " LIMIT $2", kNamed, kOrder),
                          {rollout_id, devices_max}));
  }
  store::Conditions of_small;
  of_small.AddIn("rollout_id", small);
  const std::string last = of_small.Bind(devices_max);
  ASSIGN_OR_RETURN(
      answers.emplace_back(),
      transaction.Query(
          base::StrCat(kColumns, ", ROW_NUMBER() OVER (PARTITION BY rollout_id ", kFirstToLookAt,
                       ") AS place FROM rollout_devices", of_small.sql(), kNamed,
                       "WHERE rd.place <= ", last, " ", kOrder),
          of_small.params()));
  for (const Rows& rows : answers) {
    for (const Row& device : rows) {
      const std::string detail = device.Text("detail");
      standings[device.Text("rollout_id")].devices.push_back(
          Json::MakeObject({{"device_id", device.Text("device_id")},
                            {"device_name", device.Text("device_name")},
                            {"state", device.Text("state")},
                            {"at", base::FormatTime(device.Time("at"))},
                            {"detail", detail.empty() ? Json() : Json(detail)}}));
    }
  }
  return standings;
}

Json RolloutJson(const Row& row, Standing standing) {
  std::map<std::string, std::int64_t>& counts = standing.counts;
  return Json::MakeObject({{"rollout_id", row.Text("rollout_id")},
                           {"name", row.Text("name")},
                           {"version", row.Text("version")},
                           {"bundle", row.Text("bundle")},
                           {"state", row.Text("state")},
                           {"created_at", base::FormatTime(row.Time("created_at"))},
                           {"by", row.Text("created_by")},
                           {"target", row.Document("target")},
                           {"counts", Json::MakeObject({{"total", standing.total},
                                                        {"pending", counts["pending"]},
                                                        {"told", counts["told"]},
                                                        {"running", counts["running"]},
                                                        {"failed", counts["failed"]},
                                                        {"skipped", counts["skipped"]}})},
                           {"devices", std::move(standing.devices)}});
}

}  // namespace

base::Result<Json> Rollouts::Get(const std::string& rollout_id) {
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    ASSIGN_OR_RETURN(
        const auto row,
        transaction.QueryOne(std::string(kSelectRollout) + "WHERE rollout_id = $1", {rollout_id}));
    if (!row) return Error{ErrorCode::kNotFound, "no rollout is called " + rollout_id};
    ASSIGN_OR_RETURN(auto standings, ReadStandings(transaction, {rollout_id}, kDevicesOfOne));
    return RolloutJson(*row, std::move(standings[rollout_id]));
  });
}

base::Result<Json> Rollouts::List(const http::Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  const std::int64_t before = cursor ? cursor->number : std::numeric_limits<std::int64_t>::max();
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    ASSIGN_OR_RETURN(Rows rows, transaction.Query(std::string(kSelectRollout) +
                                                      "WHERE (created_at, rollout_id) < ($1, $2) "
                                                      "ORDER BY created_at DESC, "
                                                      "rollout_id DESC LIMIT $3",
                                                  {before, cursor ? cursor->text : "", limit + 1}));
    std::vector<std::string> rollout_ids;
    for (const Row& row : rows) rollout_ids.push_back(row.Text("rollout_id"));
    ASSIGN_OR_RETURN(auto standings, ReadStandings(transaction, rollout_ids, kDevicesInList));
    std::vector<std::pair<http::Cursor, Json>> items;
    for (const Row& row : rows) {
      const std::string rollout_id = row.Text("rollout_id");
      items.emplace_back(http::Cursor{.number = row.Int("created_at"), .text = rollout_id},
                         RolloutJson(row, std::move(standings[rollout_id])));
    }
    return http::MakePage(
        std::move(items), limit, [](const auto& item) { return item.second; },
        [](const auto& item) { return item.first; });
  });
}

base::Result<std::string> Rollouts::TakeReport(Transaction& transaction,
                                               const std::string& device_id,
                                               const protocol::UpdateReport& report) {
  // The rollout that the device names; a device that merely started names none and speaks about
  // the newest it is part of.
  ASSIGN_OR_RETURN(
      const auto rollout,
      transaction.QueryOne("SELECT r.rollout_id, r.bundle, rd.state FROM rollout_devices rd "
                           "JOIN rollouts r ON r.rollout_id = rd.rollout_id "
                           "WHERE rd.device_id = $1 AND rd.state <> 'skipped' AND "
                           "($2 = '' OR r.rollout_id = $2) "
                           "ORDER BY r.created_at DESC, r.rollout_id DESC LIMIT 1",
                           {device_id, report.deployment_id}));
  if (!rollout) return std::string();
  const std::string rollout_id = rollout->Text("rollout_id");
  const std::string bundle = rollout->Text("bundle");
  Event event{.at = clock_.Now(),
              .kind = EventKind::kReport,
              .device_id = device_id,
              .bundle = report.bundle,
              .detail = report.detail};
  if (report.outcome == protocol::UpdateOutcome::kFailed ||
      report.outcome == protocol::UpdateOutcome::kRolledBack) {
    // Of this rollout only if it was about it: a device may fail at something of its own, too.
    if (report.deployment_id.empty() && report.attempted_bundle != bundle) return std::string();
    event.kind = EventKind::kFailed;
  } else if ((rollout->Text("state") == Name(DeviceState::kRunning)) == (report.bundle == bundle)) {
    return std::string();  // As it stands in the log already: a device says so at every start.
  }
  RETURN_IF_ERROR(Append(transaction, rollout_id, event));
  return rollout_id;
}

base::Status Rollouts::MarkTold(const std::string& device_id, const std::string& rollout_id) {
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne("SELECT state FROM rollout_devices WHERE rollout_id = $1 "
                                      "AND device_id = $2",
                                      {rollout_id, device_id}));
  if (!row || row->Text("state") != "pending") return {};
  const base::Status written = database_.Write([&](Transaction& transaction) {
    return Append(transaction, rollout_id,
                  {.at = clock_.Now(),
                   .kind = EventKind::kTold,
                   .device_id = device_id,
                   .bundle = "",
                   .detail = ""});
  });
  if (!written.ok()) return written;
  events_.Publish("rollout", Json::MakeObject({{"id", rollout_id}}));
  return {};
}

base::Result<http::Response> Rollouts::Desired(const http::Request& request) {
  const std::string& device_id = request.identity.id;
  if (request.Param("device_id") != device_id) {
    return Error{ErrorCode::kPermissionDenied, "a device may ask for its own desired state only"};
  }

  constexpr std::string_view kRead =
      "SELECT desired, desired_etag FROM devices WHERE device_id = $1";
  ASSIGN_OR_RETURN(auto row, database_.QueryOne(kRead, {device_id}));
  if (row && row->IsNull("desired")) {
    RETURN_IF_ERROR(database_.Write(
        [&](Transaction& transaction) { return desired_.Refresh(transaction, device_id); }));
    ASSIGN_OR_RETURN(row, database_.QueryOne(kRead, {device_id}));
  }
  if (!row) return Error{ErrorCode::kNotFound, "no device is called " + device_id};

  const std::string etag = "\"" + row->Text("desired_etag") + "\"";
  http::Response response;
  response.headers.Set("ETag", etag);
  if (request.headers.Get("if-none-match") == etag) {
    response.status = 304;
    return response;
  }
  std::string document = row->Text("desired");
  ASSIGN_OR_RETURN(const protocol::Desired desired, protocol::ParseDesired(document));
  if (desired.target) RETURN_IF_ERROR(MarkTold(device_id, desired.deployment_id));
  response.headers.Set("Content-Type", "application/json");
  response.headers.Set("Cache-Control", "no-store");
  response.headers.Set(protocol::kHeaderStatement,
                       signer_.SignForHeader({.kind = "desired",
                                              .device_id = device_id,
                                              .subject = desired.deployment_id,
                                              .sha256 = base::Sha256Hex(base::AsBytes(document)),
                                              .code = ""}));
  response.body = std::move(document);
  return response;
}

void Rollouts::AddHints(const http::Request& request, http::Response& response) {
  if (!request.identity.is_device()) return;
  response.headers.Set(
      protocol::kHeaderPollAfter,
      std::to_string(std::chrono::ceil<std::chrono::seconds>(desired_.poll()).count()));
  // A hint; without it the device asks when it is time.
  if (!request.identity.device) return;
  std::string etag = request.identity.device->desired_etag;
  if (etag.empty()) {
    // There was no document when the request came; the request itself may have made it.
    const auto row = database_.QueryOne("SELECT desired_etag FROM devices WHERE device_id = $1",
                                        {request.identity.id});
    if (row.ok() && row->has_value()) etag = (*row)->Text("desired_etag");
  }
  if (!etag.empty()) {
    response.headers.Set(protocol::kHeaderDesiredEtag, base::StrCat("\"", etag, "\""));
  }
}

}  // namespace tinysphere::rollout
