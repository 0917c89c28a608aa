#include "tinysphere/fleet/fleet.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "base/text.h"
#include "protocol/desired.h"
#include "protocol/enrolment.h"
#include "protocol/identifiers.h"
#include "protocol/statement.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/access/enroll_tokens.h"
#include "tinysphere/access/gate.h"
#include "tinysphere/fleet/timeline.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/http/page.h"

namespace tinysphere::fleet {
namespace {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::FieldOrNull;

constexpr std::string_view kSelectDevice =
    "SELECT device_id, name, state, enrolled_at, last_seen, fingerprint, agent_version, "
    "model_family, model_name, model_version, bundle, drift_state, adaptation, mode, "
    "desired_mode, metrics, desired, awaits FROM devices ";

// What a device may be called: anything a person can read on one line.
base::Status CheckName(const std::string& name) {
  const bool is_plain = std::none_of(name.begin(), name.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
  });
  if (name.empty() || name.size() > 100 || !is_plain) {
    return Error{ErrorCode::kInvalidArgument,
                 "name: 1 to 100 bytes without control characters are wanted"};
  }
  return {};
}

Json TextOrNull(std::string text) { return text.empty() ? Json() : Json(std::move(text)); }

// What a person may see of the newest figures, whatever else the device sent.
Json MetricsJson(const Json& stored) {
  if (!stored.is_object()) return {};
  Json metrics = Json::MakeObject();
  for (const char* key : {"at", "frames", "fps", "accuracy_estimated", "confidence_mean",
                          "latency_ms_p50", "latency_ms_p95", "rss_bytes", "cpu_percent",
                          "queue_packages", "queue_bytes", "skipped", "dropped"}) {
    metrics.Set(key, FieldOrNull(stored, key));
  }
  return metrics;
}

}  // namespace

Fleet::Fleet(store::Database& database, base::Clock& clock, http::EventHub& events,
             const access::StatementSigner& signer, const access::ServerKeys& keys,
             Presence& presence)
    : database_(database),
      clock_(clock),
      events_(events),
      signer_(signer),
      keys_(keys),
      presence_(presence),
      strangers_({.tries = 20, .refill = base::Duration(30'000), .keys_max = 10'000}) {}

base::Result<http::Response> Fleet::Enroll(http::Request& request) {
  if (request.body.is_spooled()) return Error{ErrorCode::kInvalidArgument, "enrol: too large"};
  ASSIGN_OR_RETURN(protocol::EnrolRequest asked, protocol::ParseEnrolRequest(request.body.text()));
  RETURN_IF_ERROR(CheckName(asked.name));
  const Newcomer newcomer = {.device_id = protocol::DeviceIdOf(asked.public_key),
                             .fingerprint = base::Fingerprint(asked.public_key),
                             .key = asked.public_key,
                             .name = std::move(asked.name),
                             .agent_version = std::move(asked.agent_version),
                             .token = std::move(asked.token)};

  const base::Time now = clock_.Now();
  const auto signer = access::VerifyEnrolment(request, newcomer.key, keys_, now);
  // Unsigned on purpose: whoever sent this has not shown that the key is theirs. The answer's nonce
  // lets an honest device try again at once.
  if (!signer.ok()) {
    return http::ErrorResponse(401, "unauthenticated", signer.error().message);
  }

  if (!newcomer.token) {
    const std::lock_guard lock(limiter_mutex_);
    const base::Duration wait = strangers_.Take(request.peer.address, now);
    if (wait.count() > 0) {
      return http::Response::TooManyRequests(
          "enrol: too many devices without a token from this address",
          std::chrono::ceil<std::chrono::seconds>(wait));
    }
  }

  const auto state = database_.Write(
      [&](store::Transaction& transaction) { return Admit(transaction, newcomer, now); });
  const std::string nonce(request.headers.Get(protocol::kHeaderNonce));
  if (!state.ok()) {
    if (state.error().code != ErrorCode::kPermissionDenied) return state.error();
    return http::Response::Json(403, signer_.Sign({.kind = "held",
                                                   .device_id = newcomer.device_id,
                                                   .subject = nonce,
                                                   .code = base::Name(ErrorCode::kPermissionDenied),
                                                   .message = state.error().message}));
  }
  if (*state == "decommissioned") {
    return http::Response::Json(
        410, signer_.Sign(
                 {.kind = "decommissioned", .device_id = newcomer.device_id, .subject = nonce}));
  }
  presence_.Saw(newcomer.device_id, now);
  events_.Publish("device", Json::MakeObject({{"id", newcomer.device_id}}));
  const bool is_pending = *state == "pending";
  return http::Response::Json(is_pending ? 202 : 200,
                              signer_.Sign({.kind = is_pending ? "pending" : "enrolled",
                                            .device_id = newcomer.device_id,
                                            .subject = newcomer.fingerprint}));
}

// The state the device is in once this enrolment is through.
base::Result<std::string> Fleet::Admit(store::Transaction& transaction, const Newcomer& newcomer,
                                       base::Time now) {
  ASSIGN_OR_RETURN(
      const auto known,
      transaction.QueryOne("SELECT state FROM devices WHERE device_id = $1", {newcomer.device_id}));
  const std::string before = known ? known->Text("state") : "";
  if (before == "revoked") {
    return Error{ErrorCode::kPermissionDenied, "enrol: this key was revoked"};
  }
  if (before == "active" || before == "decommissioned") return before;

  std::string state = "pending";
  std::string how = "waits to be accepted; fingerprint " + newcomer.fingerprint;
  if (newcomer.token) {
    RETURN_IF_ERROR(access::UseEnrollToken(transaction, *newcomer.token, newcomer.device_id, now));
    state = "active";
    how = "enrolled with a token";
  } else {
    ASSIGN_OR_RETURN(const auto expected,
                     transaction.QueryOne("SELECT name FROM preauthorised WHERE fingerprint = $1",
                                          {newcomer.fingerprint}));
    if (expected) {
      state = "active";
      how = "enrolled, for its fingerprint was known beforehand";
    }
  }
  if (before == state) return state;

  if (known) {
    const auto changed = transaction.Execute("UPDATE devices SET state = $2 WHERE device_id = $1",
                                             {newcomer.device_id, state});
    if (!changed.ok()) return changed.error();
  } else {
    if (state == "pending") {
      ASSIGN_OR_RETURN(
          const auto waiting,
          transaction.QueryOne("SELECT COUNT(*) AS n FROM devices WHERE state = 'pending'"));
      if (waiting->Int("n") >= kPendingMax) {
        return Error{ErrorCode::kExhausted,
                     base::StrCat("enrol: ", kPendingMax, " devices wait already")};
      }
    }
    const auto added = transaction.Execute(
        "INSERT INTO devices (device_id, name, state, enrolled_at, last_seen, fingerprint, "
        "agent_version) VALUES ($1, $2, $3, $4, $4, $5, $6)",
        {newcomer.device_id, newcomer.name, state, now, newcomer.fingerprint,
         newcomer.agent_version});
    if (!added.ok()) return added.error();
    const auto key_added = transaction.Execute(
        "INSERT INTO device_keys (device_id, key_count, public_key, created_at) "
        "VALUES ($1, 1, $2, $3)",
        {newcomer.device_id, base::Bytes(newcomer.key.begin(), newcomer.key.end()), now});
    if (!key_added.ok()) return key_added.error();
  }
  RETURN_IF_ERROR(Note(transaction, {.at = now,
                                     .device_id = newcomer.device_id,
                                     .kind = "enrolled",
                                     .text = newcomer.name + " " + how,
                                     .ref = ""}));
  return state;
}

base::Result<std::optional<http::Response>> Fleet::TurnAway(const http::Request& request) {
  const std::string& device_id = request.identity.id;
  std::string state;
  if (request.identity.device) {
    state = request.identity.device->state;
  } else {
    ASSIGN_OR_RETURN(
        const auto row,
        database_.QueryOne("SELECT CASE WHEN is_erasing = 1 THEN 'erasing' ELSE state END AS "
                           "state FROM devices WHERE device_id = $1",
                           {device_id}));
    if (row) state = row->Text("state");
  }
  if (state == "erasing") {
    http::Response later = http::ErrorResponse(
        Error{ErrorCode::kUnavailable, "the data of this device is being deleted"});
    later.headers.Set("retry-after", "30");
    return std::optional(std::move(later));
  }
  if (state == "active") {
    presence_.Saw(device_id, clock_.Now());
    return std::optional<http::Response>();
  }
  if (state == "decommissioned") {
    return std::optional(
        http::Response::Json(410, signer_.Sign({.kind = "decommissioned",
                                                .device_id = device_id,
                                                .subject = request.identity.nonce})));
  }
  const bool is_pending = state == "pending";
  return std::optional(http::Response::Json(
      403, signer_.Sign({.kind = "held",
                         .device_id = device_id,
                         .subject = request.identity.nonce,
                         .code = base::Name(ErrorCode::kPermissionDenied),
                         .message = is_pending ? "this device waits to be accepted"
                                               : "this device's key is not accepted"})));
}

Json Fleet::DeviceJson(const store::Row& row, base::Time now) const {
  const std::string device_id = row.Text("device_id");
  const auto last_seen = presence_.LastSeen(device_id, row.OptionalTime("last_seen"));
  const std::string bundle = row.Text("bundle");
  Json model;
  if (!bundle.empty()) {
    model = Json::MakeObject({{"name", TextOrNull(row.Text("model_name"))},
                              {"version", TextOrNull(row.Text("model_version"))},
                              {"bundle", bundle}});
  }
  Json desired;
  bool is_in_sync = true;
  const Json document = row.Document("desired");
  if (const Json* target = document.Find("target"); target != nullptr && target->is_object()) {
    desired = Json::MakeObject(
        {{"bundle", FieldOrNull(*target, "bundle")}, {"version", FieldOrNull(*target, "version")}});
    is_in_sync = FieldOrNull(*target, "bundle") == Json(bundle);
  }
  const std::string awaits = row.Text("awaits");
  const Json stored_adaptation = row.Document("adaptation");
  Json adaptation;
  if (stored_adaptation.is_object()) {
    adaptation = Json::MakeObject({{"hypothesis", FieldOrNull(stored_adaptation, "hypothesis")},
                                   {"challenger", FieldOrNull(stored_adaptation, "challenger")}});
  }
  return Json::MakeObject(
      {{"device_id", device_id},
       {"name", row.Text("name")},
       {"state", row.Text("state")},
       {"online", row.Text("state") == "active" && presence_.IsOnline(last_seen, now)},
       {"last_seen", last_seen ? Json(base::FormatTime(*last_seen)) : Json()},
       {"enrolled_at", base::FormatTime(row.Time("enrolled_at"))},
       {"agent_version", TextOrNull(row.Text("agent_version"))},
       {"model", std::move(model)},
       {"model_family", TextOrNull(row.Text("model_family"))},
       {"desired", std::move(desired)},
       {"in_sync", is_in_sync},
       {"drift_state", row.Text("drift_state")},
       {"adaptation", std::move(adaptation)},
       {"awaits", awaits == "labels" || awaits == "approval" ? Json(awaits) : Json()},
       {"mode", TextOrNull(row.Text("mode"))},
       {"desired_mode", TextOrNull(row.Text("desired_mode"))},
       {"metrics", MetricsJson(row.Document("metrics"))},
       {"fingerprint", row.Text("fingerprint")},
       {"signed", true}});
}

base::Result<Json> Fleet::List(const http::Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  // Names need not differ, so the place in the list is name and id together.
  const std::string after = cursor ? cursor->text : "";
  const std::size_t split = after.find('\n');
  const std::string name = after.substr(0, split);
  const std::string id = split == std::string::npos ? "" : after.substr(split + 1);
  ASSIGN_OR_RETURN(store::Rows rows, database_.Query(std::string(kSelectDevice) +
                                                         "WHERE (name, device_id) > ($1, $2) "
                                                         "ORDER BY name, device_id LIMIT $3",
                                                     {name, id, limit + 1}));
  const base::Time now = clock_.Now();
  return http::MakePage(
      std::move(rows), limit, [&](const store::Row& row) { return DeviceJson(row, now); },
      [](const store::Row& row) {
        return http::Cursor{.number = 0, .text = row.Text("name") + "\n" + row.Text("device_id")};
      });
}

base::Result<Json> Fleet::Get(const std::string& device_id) {
  ASSIGN_OR_RETURN(
      const auto row,
      database_.QueryOne(std::string(kSelectDevice) + "WHERE device_id = $1", {device_id}));
  if (!row) return Error{ErrorCode::kNotFound, "no device is called " + device_id};
  return DeviceJson(*row, clock_.Now());
}

base::Result<Json> Fleet::ChangeState(const std::string& device_id, const std::string& state,
                                      const std::string& text, const std::string& by) {
  const base::Time now = clock_.Now();
  const base::Status written = database_.Write([&](store::Transaction& transaction)
                                                   -> base::Status {
    ASSIGN_OR_RETURN(
        const auto row,
        transaction.QueryOne("SELECT state, name FROM devices WHERE device_id = $1", {device_id}));
    if (!row) return Error{ErrorCode::kNotFound, "no device is called " + device_id};
    const std::string before = row->Text("state");
    if (before == state) return {};
    if (before == "revoked" || before == "decommissioned" ||
        (state == "active" && before != "pending")) {
      return Error{ErrorCode::kConflict,
                   base::StrCat(device_id, " is ", before, "; it cannot become ", state)};
    }
    const auto changed = transaction.Execute("UPDATE devices SET state = $2 WHERE device_id = $1",
                                             {device_id, state});
    if (!changed.ok()) return changed.error();
    if (state == "revoked") {
      const auto revoked = transaction.Execute(
          "UPDATE device_keys SET revoked_at = $2 WHERE device_id = $1 AND revoked_at IS NULL",
          {device_id, now});
      if (!revoked.ok()) return revoked.error();
    }
    if (state != "active" && gone_) RETURN_IF_ERROR(gone_(transaction, device_id, state));
    RETURN_IF_ERROR(Note(transaction, {.at = now,
                                       .device_id = device_id,
                                       .kind = state == "active" ? "enrolled" : "alert",
                                       .text = base::StrCat(row->Text("name"), " ", text, by),
                                       .ref = ""}));
    return access::WriteAudit(
        transaction,
        {.at = now, .who = by, .action = "device." + state, .subject = device_id, .detail = ""});
  });
  if (!written.ok()) return written.error();
  events_.Publish("device", Json::MakeObject({{"id", device_id}}));
  return Get(device_id);
}

base::Result<Json> Fleet::Accept(const std::string& device_id, const std::string& by) {
  return ChangeState(device_id, "active", "was accepted by ", by);
}

base::Result<Json> Fleet::Revoke(const std::string& device_id, const std::string& by) {
  return ChangeState(device_id, "revoked", "was revoked by ", by);
}

base::Result<Json> Fleet::Decommission(const std::string& device_id, const std::string& by) {
  return ChangeState(device_id, "decommissioned", "was decommissioned by ", by);
}

base::Result<Json> Fleet::Rename(const std::string& device_id, const std::string& name,
                                 const std::string& by) {
  RETURN_IF_ERROR(CheckName(name));
  const base::Time now = clock_.Now();
  const base::Status written =
      database_.Write([&](store::Transaction& transaction) -> base::Status {
        ASSIGN_OR_RETURN(const std::int64_t changed,
                         transaction.Execute("UPDATE devices SET name = $2 WHERE device_id = $1",
                                             {device_id, name}));
        if (changed == 0) return Error{ErrorCode::kNotFound, "no device is called " + device_id};
        return access::WriteAudit(
            transaction,
            {.at = now, .who = by, .action = "device.name", .subject = device_id, .detail = name});
      });
  if (!written.ok()) return written.error();
  events_.Publish("device", Json::MakeObject({{"id", device_id}}));
  return Get(device_id);
}

base::Result<Json> Fleet::AskForMode(const std::string& device_id,
                                     const std::optional<std::string>& mode,
                                     const std::string& by) {
  const std::string asked = mode.value_or("");
  if (mode && std::ranges::find(protocol::kModes, asked) == std::end(protocol::kModes)) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("mode: autonomous, server_assisted, monitoring_only or null is "
                              "expected, not \"",
                              asked, "\"")};
  }
  const base::Time now = clock_.Now();
  const base::Status written =
      database_.Write([&](store::Transaction& transaction) -> base::Status {
        ASSIGN_OR_RETURN(
            const auto row,
            transaction.QueryOne("SELECT name, state, desired_mode FROM devices WHERE device_id = "
                                 "$1",
                                 {device_id}));
        if (!row) return Error{ErrorCode::kNotFound, "no device is called " + device_id};
        const std::string state = row->Text("state");
        if (state == "revoked" || state == "decommissioned") {
          return Error{ErrorCode::kConflict,
                       base::StrCat(device_id, " is ", state, "; it asks for nothing any more")};
        }
        if (row->Text("desired_mode") == asked) return {};
        const auto changed = transaction.Execute(
            "UPDATE devices SET desired_mode = $2 WHERE device_id = $1", {device_id, asked});
        if (!changed.ok()) return changed.error();
        if (asked_) RETURN_IF_ERROR(asked_(transaction, device_id));
        RETURN_IF_ERROR(Note(
            transaction,
            {.at = now,
             .device_id = device_id,
             .kind = "update",
             .text = base::StrCat(row->Text("name"), " was asked by ", by, " to be ",
                                  asked.empty() ? "in the mode of its own configuration" : asked),
             .ref = ""}));
        return access::WriteAudit(transaction, {.at = now,
                                                .who = by,
                                                .action = "device.mode",
                                                .subject = device_id,
                                                .detail = asked.empty() ? "as configured" : asked});
      });
  if (!written.ok()) return written.error();
  events_.Publish("device", Json::MakeObject({{"id", device_id}}));
  return Get(device_id);
}

base::Result<Json> Fleet::Preauthorise(const Json& body, const std::string& by) {
  base::JsonReader reader(body, "preauthorise");
  struct Expected {
    std::string fingerprint;
    std::string name;
  };
  std::vector<Expected> expected;
  for (base::JsonReader device : reader.Array("devices", 10'000)) {
    Expected one;
    one.fingerprint = device.String("fingerprint", {.bytes_max = 64});
    one.name = device.OptionalString("name").value_or("");
    const auto decoded = base::Base64UrlDecode(one.fingerprint);
    if (!decoded.ok() || decoded->size() != 32) {
      device.Refuse("fingerprint", "not the base64url of 32 bytes");
    }
    expected.push_back(std::move(one));
  }
  RETURN_IF_ERROR(reader.status());
  const base::Time now = clock_.Now();
  std::int64_t added = 0;
  const base::Status written =
      database_.Write([&](store::Transaction& transaction) -> base::Status {
        added = 0;
        for (const Expected& one : expected) {
          ASSIGN_OR_RETURN(const std::int64_t changed,
                           transaction.Execute("INSERT INTO preauthorised (fingerprint, name, "
                                               "created_by, created_at) VALUES ($1, $2, $3, $4) "
                                               "ON CONFLICT (fingerprint) DO NOTHING",
                                               {one.fingerprint, one.name, by, now}));
          added += changed;
        }
        return access::WriteAudit(transaction,
                                  {.at = now,
                                   .who = by,
                                   .action = "device.preauthorise",
                                   .subject = base::StrCat(expected.size(), " fingerprints"),
                                   .detail = ""});
      });
  if (!written.ok()) return written.error();
  return Json::MakeObject({{"added", added}});
}

}  // namespace tinysphere::fleet
