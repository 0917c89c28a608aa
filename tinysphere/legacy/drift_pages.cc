#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/http/multipart.h"
#include "tinysphere/legacy/devices.h"
#include "tinysphere/legacy/pages.h"
#include "tinysphere/legacy/unpacking.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::legacy {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::Access;
using http::BodyRule;
using http::FieldOrNull;
using http::Method;
using http::Request;
using http::Response;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

// Lists that choose by what only the document says look at so many of the newest.
constexpr std::int64_t kLookedAt = 5000;

// A status that a person set here goes before what the verdict on the event means.
constexpr std::string_view kStatus =
    "COALESCE(r.status, CASE e.event_verdict WHEN 'real' THEN 'validated' WHEN 'false_alarm' THEN "
    "'rejected' WHEN 'expected' THEN 'ignored' ELSE 'pending' END)";

std::string SelectEvents() {
  return base::StrCat(
      "SELECT e.device_id, e.event_id, e.kind, e.bundle, e.document, e.received_at, e.reference, ",
      kStatus,
      " AS status, r.notes, r.resolved_at, COALESCE(d.name, e.device_id) AS device_name, "
      "(SELECT COUNT(*) FROM drift_samples s WHERE s.event_id = e.event_id) AS samples, "
      "(SELECT COUNT(*) FROM verdicts w WHERE w.event_id = e.event_id AND w.is_current = 1) AS "
      "validations FROM drift_events e LEFT JOIN devices d ON d.device_id = e.device_id "
      "LEFT JOIN drift_resolutions r ON r.event_id = e.event_id ");
}

struct Event {
  std::string event_id;
  std::string device_id;
  std::string device_name;
  std::string type;
  std::string status;
  std::int64_t received_ms = 0;
  std::int64_t validations = 0;
  Json json;
};

Event EventOf(const Row& row) {
  Event event{.event_id = row.Text("event_id"),
              .device_id = row.Text("device_id"),
              .device_name = row.Text("device_name"),
              .type = "unknown",
              .status = row.Text("status"),
              .received_ms = row.Int("received_at"),
              .validations = row.Int("validations"),
              .json = {}};
  const Json document = row.Document("document");
  std::string detector;
  const Json* signals = document.Find("signals");
  if (signals != nullptr && signals->is_array() && !signals->as_array().empty()) {
    const Json* name = signals->as_array().front().Find("name");
    if (name != nullptr && name->is_string()) detector = name->as_string();
  }
  event.type = DriftTypeOf(detector);
  if (event.type == "unknown") event.type = DriftTypeOf(row.Text("kind"));
  // As the prototype has it: the first figure of the event; else how far the signal moved.
  Json score;
  const Json reference = row.Document("reference");
  const Json original = FieldOrNull(reference, "prototype");
  if (const Json* figures = original.Find("metrics"); figures && figures->is_object()) {
    for (const auto& [name, value] : figures->as_object()) {
      if (!score.is_null() || !value.is_number()) continue;
      score = value;
    }
  }
  if (const Json* severity = document.Find("severity"); severity && score.is_null()) {
    score = FieldOrNull(*severity, "sigma");
  }
  const std::string received_at = base::FormatTime(row.Time("received_at"));
  event.json = Json::MakeObject({{"event_id", event.event_id},
                                 {"device_id", event.device_id},
                                 {"drift_type", event.type},
                                 {"drift_score", std::move(score)},
                                 {"detector_name", TextOrNull(detector)},
                                 {"model_id", TextOrNull(row.Text("bundle"))},
                                 {"description", FieldOrNull(document, "text")},
                                 {"status", event.status},
                                 {"timestamp", received_at},
                                 {"received_at", received_at},
                                 {"resolved_at", TimeOrNull(row.OptionalTime("resolved_at"))},
                                 {"resolution_notes", TextOrNull(row.Text("notes"))},
                                 {"sample_count", row.Int("samples")},
                                 {"validation_count", event.validations},
                                 {"metadata", original.is_null() ? document : original}});
  return event;
}

std::optional<std::int64_t> TimeOf(std::string_view text) {
  const auto at =
      base::ParseTime(text.size() == 10 ? base::StrCat(text, "T00:00:00.000Z") : std::string(text));
  return at.ok() ? std::optional<std::int64_t>(at->time_since_epoch().count()) : std::nullopt;
}

base::Result<std::vector<Event>> ReadEvents(Transaction& transaction, const std::string& device_id,
                                            std::int64_t from, std::int64_t until,
                                            bool is_ascending = false) {
  ASSIGN_OR_RETURN(
      const Rows rows,
      transaction.Query(
          base::StrCat(SelectEvents(),
                       "WHERE e.received_at >= $1 AND e.received_at <= $2 AND ($3 = '' OR "
                       "e.device_id = $3) ORDER BY e.received_at ",
                       is_ascending ? "" : "DESC", ", e.event_id LIMIT $4"),
          {from, until, device_id, kLookedAt}));
  std::vector<Event> events;
  for (const Row& row : rows) events.push_back(EventOf(row));
  return events;
}

Json CountsJson(const std::map<std::string, std::int64_t>& counts) {
  Json json = Json::MakeObject();
  for (const auto& [name, count] : counts) json.Set(name, count);
  return json;
}

bool IsStatus(std::string_view status) {
  return status == "pending" || status == "validated" || status == "rejected" ||
         status == "resolved" || status == "ignored";
}

constexpr std::string_view kSelectSamples =
    "SELECT s.device_id, s.sample_id, s.event_id, s.prediction, s.confidence, s.reason, "
    "s.object_key, s.media, s.neighbours, e.received_at, "
    "(SELECT MAX(w.label) FROM verdicts w WHERE w.event_id = s.event_id AND w.is_current = 1 AND "
    "w.sample_id = s.sample_id) AS true_label FROM drift_samples s "
    "JOIN drift_events e ON e.event_id = s.event_id ";

Json SampleJson(const Row& row) {
  const std::string label = row.Text("true_label");
  const std::string key = row.Text("object_key");
  return Json::MakeObject(
      {{"sample_id", row.Text("sample_id")},
       {"drift_event_id", row.Text("event_id")},
       {"prediction", row.Text("prediction")},
       {"confidence", row.Double("confidence")},
       {"drift_score", nullptr},
       {"feature_path", nullptr},
       {"raw_data_path", TextOrNull(key)},
       {"timestamp", base::FormatTime(row.Time("received_at"))},
       {"metadata", Json::MakeObject({{"reason", row.Text("reason")},
                                      {"media", TextOrNull(row.Text("media"))},
                                      {"neighbours", row.Document("neighbours")}})},
       {"true_label", TextOrNull(label)},
       {"status", label.empty() ? "pending" : "validated"}});
}

// {event_id's verdict} -> whether the prototype calls it a valid drift.
Json IsValidDrift(const Row& row) {
  const std::string verdict = row.Text("event_verdict");
  if (verdict.empty()) return {};
  return verdict == "real";
}

Json ValidationJson(const Row& row) {
  const bool is_acknowledged = !row.IsNull("delivered_at");
  return Json::MakeObject(
      {{"validation_id", std::to_string(row.Int("verdict_id"))},
       {"drift_event_id", row.Text("event_id")},
       {"drift_sample_id", TextOrNull(row.Text("sample_id"))},
       {"is_valid_drift", IsValidDrift(row)},
       {"true_label", TextOrNull(row.Text("label"))},
       {"validated_by", row.Text("given_by")},
       {"validated_at", base::FormatTime(row.Time("at"))},
       {"notes", TextOrNull(row.Text("notes"))},
       {"device_id", row.Text("device_id")},
       {"is_acknowledged", is_acknowledged},
       {"acknowledged_at", TimeOrNull(row.OptionalTime("delivered_at"))},
       {"sample_info", Json::MakeObject({{"sample_id", TextOrNull(row.Text("sample_id"))},
                                         {"prediction", TextOrNull(row.Text("prediction"))},
                                         {"confidence", row.OptionalDouble("confidence")}})}});
}

constexpr std::string_view kSelectValidations =
    "SELECT w.verdict_id, w.device_id, w.event_id, w.sample_id, w.label, w.given_by, w.at, "
    "e.event_verdict, f.delivered_at, r.notes, s.prediction, s.confidence FROM verdicts w "
    "JOIN drift_events e ON e.event_id = w.event_id "
    "LEFT JOIN feedback f ON f.feedback_id = w.feedback_id "
    "LEFT JOIN drift_resolutions r ON r.event_id = w.event_id "
    "LEFT JOIN drift_samples s ON s.device_id = w.device_id AND s.sample_id = w.sample_id ";

}  // namespace

base::Result<Json> Pages::EventById(const std::string& event_id) {
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne(SelectEvents() + "WHERE e.event_id = $1", {event_id}));
  if (!row) return Error{ErrorCode::kNotFound, "no drift event is called " + event_id};
  return EventOf(*row).json;
}

// By drift_type or status among the newest 5,000.
base::Result<Json> Pages::DriftEvents(const Request& request) {
  std::int64_t bounds[2] = {0, 9'000'000'000'000'000};
  const char* names[2] = {"start_date", "end_date"};
  for (int i = 0; i < 2; ++i) {
    const std::string_view text = request.Query(names[i]);
    if (text.empty()) continue;
    const auto at = TimeOf(text);
    if (!at) return Error{ErrorCode::kInvalidArgument, base::StrCat(names[i], ": no time")};
    bounds[i] = *at;
  }
  const bool is_ascending = request.Query("sort_order") == "asc";
  ASSIGN_OR_RETURN(const auto events, database_.Read([&](Transaction& transaction) {
    return ReadEvents(transaction, std::string(request.Query("device_id")), bounds[0], bounds[1],
                      is_ascending);
  }));
  const std::string_view status = request.Query("status");
  const std::string_view type = request.Query("drift_type");
  auto skip = static_cast<std::size_t>(SkipOf(request));
  const std::size_t limit = request.Limit(100, 1000);
  Json::Array chosen;
  for (const Event& event : events) {
    if (!status.empty() && event.status != status) continue;
    if (!type.empty() && event.type != type) continue;
    if (skip > 0) {
      skip -= 1;
    } else if (chosen.size() < limit) {
      chosen.push_back(event.json);
    }
  }
  return Json(std::move(chosen));
}

base::Result<Json> Pages::DriftEvent(const Request& request) {
  return EventById(request.Param("event_id"));
}

// For a device of the prototype only: whoever has a key reports under its own signature. The same
// body twice is one event.
base::Result<Json> Pages::CreateDriftEvent(const Request& request) {
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "event");
  const std::string device_id = reader.String("device_id", {.bytes_max = 100});
  const std::string detector = reader.String("detector_name", {.bytes_max = 200});
  const std::string type = reader.OptionalString("drift_type").value_or("");
  const std::string description = reader.OptionalString("description").value_or("");
  (void)reader.OptionalDouble("drift_score");
  RETURN_IF_ERROR(reader.status());
  Json said = Json::MakeObject({{"detector_name", detector},
                                {"drift_type", type},
                                {"reason", description},
                                {"reported_by", request.identity.id}});
  if (const auto score = NumberIn(body, "drift_score")) {
    said.Set("metrics", Json::MakeObject({{"drift_score", *score}}));
  }
  const std::string digest = base::HexEncode(base::Sha256Of(base::AsBytes(body.Write())));
  const std::string event_id = base::StrCat(device_id, ":", digest.substr(0, 16));
  const base::Time now = clock_.Now();
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    ASSIGN_OR_RETURN(const auto device,
                     transaction.QueryOne(
                         "SELECT device_id FROM legacy_devices WHERE device_id = $1", {device_id}));
    if (!device) {
      return Error{ErrorCode::kInvalidArgument,
                   "device_id: is no device of the prototype that has registered here"};
    }
    const drifthub::Origin origin{
        .device_id = device_id, .package_id = "", .bundle = "", .received_at = now};
    RETURN_IF_ERROR(hub_.TakeEvent(transaction, origin, legacy::EventOf(said, event_id)));
    const Json reference = Json::MakeObject({{"labels", Json::MakeArray()}, {"prototype", said}});
    RETURN_IF_ERROR(
        transaction.Execute("UPDATE drift_events SET reference = $2 WHERE event_id = $1",
                            {event_id, reference.Write()}));
    return access::WriteAudit(transaction, {.at = now,
                                            .who = request.identity.id,
                                            .action = "drift_event.create",
                                            .subject = event_id,
                                            .detail = device_id});
  });
  if (!written.ok()) return written.error();
  return EventById(event_id);
}

// The same as a form; its files are not taken, for a device sends those in a package.
base::Result<Json> Pages::CreateDriftEventFromPackage(const Request& request) {
  std::map<std::string, std::string, std::less<>> fields;
  std::string* open = nullptr;
  http::MultipartReader::Events events;
  events.begin = [&](const http::PartHeader& part) -> base::Status {
    const bool is_field = part.file_name.empty() && part.name.size() <= 64;
    open = is_field ? &fields[part.name] : nullptr;
    return {};
  };
  events.data = [&](base::ByteView bytes) -> base::Status {
    if (open == nullptr) return {};
    if (open->size() + bytes.size() > 16 * 1024) {
      return Error{ErrorCode::kInvalidArgument, "form: a field is too long"};
    }
    open->append(base::AsText(bytes));
    return {};
  };
  events.end = []() -> base::Status { return {}; };
  ASSIGN_OR_RETURN(auto reader, http::MultipartReader::Create(request.headers.Get("Content-Type"),
                                                              std::move(events)));
  RETURN_IF_ERROR(reader.Feed(base::AsBytes(request.body.text())));
  RETURN_IF_ERROR(reader.Finish());
  Json body = Json::MakeObject();
  for (const char* name : {"device_id", "detector_name", "description", "drift_type"}) {
    const auto field = fields.find(name);
    if (field == fields.end()) continue;
    // Through the parser, which refuses what is no UTF-8.
    const auto text = Json::Parse(Json(field->second).Write());
    if (!text.ok()) return Error{ErrorCode::kInvalidArgument, base::StrCat(name, ": is no UTF-8")};
    body.Set(name, *text);
  }
  if (const auto score = fields.find("drift_score"); score != fields.end()) {
    const auto value = base::ParseDouble(score->second);
    if (!value.ok()) return Error{ErrorCode::kInvalidArgument, "drift_score: no number"};
    body.Set("drift_score", *value);
  }
  Request as_json;
  as_json.identity = request.identity;
  as_json.body = http::Body(body.Write());
  return CreateDriftEvent(as_json);
}

// validated, rejected and ignored are verdicts on the event ("real", "false_alarm", "expected"):
// the device is told, as by any other page. resolved and pending are notes of people.
base::Result<Json> Pages::SetDriftStatus(const Request& request) {
  const std::string& event_id = request.Param("event_id");
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "status");
  const std::string status = reader.String("status", {.bytes_max = 32});
  const std::string notes = reader.OptionalString("resolution_notes").value_or("");
  RETURN_IF_ERROR(reader.status());
  if (!IsStatus(status)) {
    return Error{ErrorCode::kInvalidArgument,
                 "status: pending, validated, rejected, resolved or ignored"};
  }
  RETURN_IF_ERROR(EventById(event_id));
  std::optional<protocol::EventVerdict> verdict;
  if (status == "validated") verdict = protocol::EventVerdict::kReal;
  if (status == "rejected") verdict = protocol::EventVerdict::kFalseAlarm;
  if (status == "ignored") verdict = protocol::EventVerdict::kExpected;
  if (verdict) {
    RETURN_IF_ERROR(
        hub_.Give(event_id, {.labels = {}, .event_verdict = verdict}, request.identity.id));
  }
  const base::Time now = clock_.Now();
  RETURN_IF_ERROR(database_.Execute(
      "INSERT INTO drift_resolutions (event_id, status, notes, resolved_by, resolved_at) "
      "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (event_id) DO UPDATE SET status = excluded.status, "
      "notes = excluded.notes, resolved_by = excluded.resolved_by, "
      "resolved_at = excluded.resolved_at",
      {event_id, status, OneLine(notes, 2000), request.identity.id, now}));
  return EventById(event_id);
}

base::Result<Json> Pages::DriftSamples(const Request& request) {
  const std::string& event_id = request.Param("event_id");
  RETURN_IF_ERROR(EventById(event_id));
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query(std::string(kSelectSamples) +
                                       "WHERE s.event_id = $1 ORDER BY s.rank LIMIT 1000",
                                   {event_id}));
  Json::Array samples;
  for (const Row& row : rows) samples.push_back(SampleJson(row));
  return Json(std::move(samples));
}

base::Result<Json> Pages::DriftSample(const Request& request) {
  const std::string& sample_id = request.Param("sample_id");
  ASSIGN_OR_RETURN(
      const auto row,
      database_.QueryOne(std::string(kSelectSamples) + "WHERE s.sample_id = $1", {sample_id}));
  if (!row) return Error{ErrorCode::kNotFound, "no sample is called " + sample_id};
  return SampleJson(*row);
}

// A label of the sample, where one is given, and a verdict on its event. A label that the model
// does not know opens a class only with "opens_class".
base::Result<Json> Pages::Validate(const Request& request) {
  const std::string& sample_id = request.Param("sample_id");
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "validation");
  const bool is_valid = reader.Bool("is_valid_drift");
  const std::optional<std::string> label = reader.OptionalString("true_label");
  const bool opens_class = reader.OptionalBool("opens_class").value_or(false);
  const std::string notes = reader.OptionalString("validation_notes")
                                .value_or(reader.OptionalString("notes").value_or(""));
  RETURN_IF_ERROR(reader.status());
  ASSIGN_OR_RETURN(
      const auto sample,
      database_.QueryOne("SELECT event_id FROM drift_samples WHERE sample_id = $1", {sample_id}));
  if (!sample) return Error{ErrorCode::kNotFound, "no sample is called " + sample_id};
  const std::string event_id = sample->Text("event_id");
  drifthub::Verdicts verdicts;
  if (label && !label->empty()) {
    verdicts.labels.push_back({.sample_id = sample_id, .label = label, .opens_class = opens_class});
  }
  verdicts.event_verdict =
      is_valid ? protocol::EventVerdict::kReal : protocol::EventVerdict::kFalseAlarm;
  RETURN_IF_ERROR(hub_.Give(event_id, verdicts, request.identity.id));
  if (!notes.empty()) {
    RETURN_IF_ERROR(database_.Execute(
        "INSERT INTO drift_resolutions (event_id, status, notes, resolved_by, resolved_at) "
        "VALUES ($1, $2, $3, $4, $5) ON CONFLICT (event_id) DO UPDATE SET status = "
        "excluded.status, notes = excluded.notes",
        {event_id, is_valid ? "validated" : "rejected", OneLine(notes, 2000), request.identity.id,
         clock_.Now()}));
  }
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne(std::string(kSelectValidations) +
                                          "WHERE w.event_id = $1 AND w.is_current = 1 AND "
                                          "(w.sample_id = $2 OR w.sample_id IS NULL) "
                                          "ORDER BY w.verdict_id DESC LIMIT 1",
                                      {event_id, sample_id}));
  if (!row) return Error{ErrorCode::kInternal, "validation: is not there"};
  return ValidationJson(*row);
}

// What people said and no device has fetched yet.
base::Result<Json> Pages::PendingValidations(const Request& request) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query(std::string(kSelectValidations) +
                                       "WHERE w.is_current = 1 AND f.delivered_at IS NULL AND "
                                       "($1 = '' OR w.device_id = $1) "
                                       "ORDER BY w.verdict_id DESC LIMIT 1000",
                                   {std::string(request.Query("device_id"))}));
  Json::Array pending;
  for (const Row& row : rows) pending.push_back(ValidationJson(row));
  return Json(std::move(pending));
}

// For devices of the prototype: one with a key fetches and acknowledges by itself.
base::Result<Json> Pages::Acknowledge(const Request& request) {
  ASSIGN_OR_RETURN(const Json body, request.body.ParseJson());
  base::JsonReader reader(body, "acknowledge");
  const std::vector<std::string> ids = reader.Strings("validation_ids", 1000);
  RETURN_IF_ERROR(reader.status());
  const base::Time now = clock_.Now();
  return database_.Write([&](Transaction& transaction) -> base::Result<Json> {
    Json::Array results;
    for (const std::string& id : ids) {
      const auto number = base::ParseInt(id);
      std::int64_t changed = 0;
      if (number.ok()) {
        ASSIGN_OR_RETURN(
            changed,
            transaction.Execute(
                "UPDATE feedback SET state = 'delivered', delivered_at = $2 WHERE delivered_at IS "
                "NULL AND feedback_id IN (SELECT feedback_id FROM verdicts WHERE verdict_id = $1) "
                "AND device_id IN (SELECT device_id FROM legacy_devices)",
                {*number, now}));
      }
      results.push_back(
          Json::MakeObject({{"validation_id", id},
                            {"success", changed > 0},
                            {"message", changed > 0 ? "acknowledged"
                                                    : "nothing of a prototype's device waits "
                                                      "under this id"}}));
    }
    return Json::MakeObject({{"results", std::move(results)}});
  });
}

base::Result<Json> Pages::DriftStatistics(const Request& request) {
  const std::int64_t days = IntQuery(request, "days", 30, 1, 3650);
  const std::string device_id(request.Query("device_id"));
  const std::string wanted(request.Query("drift_type"));
  const std::int64_t now = clock_.Now().time_since_epoch().count();
  ASSIGN_OR_RETURN(const auto events, database_.Read([&](Transaction& transaction) {
    return ReadEvents(transaction, device_id, now - days * kDayMs, now);
  }));
  std::map<std::string, std::int64_t> by_type;
  std::map<std::string, std::int64_t> by_status;
  std::map<std::string, std::int64_t> by_day;
  Json::Array recent;
  std::int64_t total = 0;
  std::int64_t open = 0;
  for (const Event& event : events) {
    if (!wanted.empty() && event.type != wanted) continue;
    total += 1;
    open += event.status == "pending" ? 1 : 0;
    by_type[event.type] += 1;
    by_status[event.status] += 1;
    by_day[DayOf(event.received_ms)] += 1;
    if (recent.size() < 10) recent.push_back(event.json);
  }
  Json::Array day_list;
  for (const auto& [day, count] : by_day) {
    day_list.push_back(Json::MakeObject({{"date", day}, {"count", count}}));
  }
  return Json::MakeObject({{"total_events", total},
                           {"total_open", open},
                           {"total_resolved", total - open},
                           {"by_type", CountsJson(by_type)},
                           {"by_status", CountsJson(by_status)},
                           {"by_day", std::move(day_list)},
                           {"recent_events", std::move(recent)}});
}

// The prototype repaired an enum of its database here; this one has none.
base::Result<Json> Pages::Repair(const Request&) {
  return Json::MakeObject(
      {{"success", true}, {"repaired", 0}, {"message", "there is nothing of the kind to repair"}});
}

base::Result<Json> Pages::Diagnose(const Request&) {
  ASSIGN_OR_RETURN(const Rows rows, database_.Query("SELECT kind, COUNT(*) AS n FROM drift_events "
                                                    "GROUP BY kind"));
  Json kinds = Json::MakeObject();
  for (const Row& row : rows) kinds.Set(row.Text("kind"), row.Int("n"));
  return Json::MakeObject({{"status", "ok"}, {"events_by_kind", std::move(kinds)}});
}

base::Result<Json> Pages::DeviceDriftMetrics(const Request& request) {
  const std::string& device_id = request.Param("device_id");
  const std::int64_t now = clock_.Now().time_since_epoch().count();
  ASSIGN_OR_RETURN(const auto events, database_.Read([&](Transaction& transaction) {
    return ReadEvents(transaction, device_id, 0, now);
  }));
  std::map<std::string, std::int64_t> by_type;
  std::map<std::string, std::int64_t> by_status;
  std::vector<double> scores;
  std::int64_t last_week = 0;
  std::int64_t week_before = 0;
  for (const Event& event : events) {
    by_type[event.type] += 1;
    by_status[event.status] += 1;
    if (const auto score = NumberIn(event.json, "drift_score")) scores.push_back(*score);
    if (event.received_ms >= now - 7 * kDayMs) {
      last_week += 1;
    } else if (event.received_ms >= now - 14 * kDayMs) {
      week_before += 1;
    }
  }
  return Json::MakeObject({{"device_id", device_id},
                           {"total_events", static_cast<std::int64_t>(events.size())},
                           {"by_type", CountsJson(by_type)},
                           {"by_status", CountsJson(by_status)},
                           {"drift_score", Spread(scores)},
                           {"last_7_days", last_week},
                           {"trend", last_week > week_before   ? "increasing"
                                     : last_week < week_before ? "decreasing"
                                                               : "stable"}});
}

base::Result<Json> Pages::DriftByDevice(const Request& request) {
  const std::int64_t days = IntQuery(request, "days", 30, 1, 3650);
  const std::string wanted(request.Query("drift_type"));
  const std::int64_t now = clock_.Now().time_since_epoch().count();
  ASSIGN_OR_RETURN(const auto events, database_.Read([&](Transaction& transaction) {
    return ReadEvents(transaction, "", now - days * kDayMs, now);
  }));
  struct Device {
    std::string name;
    std::int64_t total = 0;
    std::map<std::string, std::int64_t> by_status;
  };
  std::map<std::string, Device> devices;
  for (const Event& event : events) {
    if (!wanted.empty() && event.type != wanted) continue;
    Device& device = devices[event.device_id];
    device.name = event.device_name;
    device.total += 1;
    device.by_status[event.status] += 1;
  }
  std::vector<std::pair<std::string, Device>> most(devices.begin(), devices.end());
  std::sort(most.begin(), most.end(), [](const auto& a, const auto& b) {
    return std::pair(-a.second.total, a.first) < std::pair(-b.second.total, b.first);
  });
  if (most.size() > request.Limit(10, 1000)) most.resize(request.Limit(10, 1000));
  Json::Array list;
  for (auto& [device_id, device] : most) {
    Json line = Json::MakeObject(
        {{"device_id", device_id}, {"name", device.name}, {"total", device.total}});
    for (const char* status : {"pending", "validated", "rejected", "resolved", "ignored"}) {
      line.Set(status, device.by_status[status]);
    }
    list.push_back(std::move(line));
  }
  return Json(std::move(list));
}

// [{date, <device_id>: count}]: a day, or for period=day an hour, a line.
base::Result<Json> Pages::DriftTimeline(const Request& request) {
  std::string period(request.Query("period"));
  if (period.empty()) period = "week";
  if (period != "day" && period != "week" && period != "month") {
    return Error{ErrorCode::kInvalidArgument, "period: day, week or month"};
  }
  const std::int64_t step = period == "day" ? kDayMs / 24 : kDayMs;
  const std::int64_t steps = period == "day" ? 24 : period == "week" ? 7 : 30;
  const std::int64_t now = clock_.Now().time_since_epoch().count();
  const std::int64_t first = now / step - steps + 1;
  const std::string wanted(request.Query("drift_type"));
  ASSIGN_OR_RETURN(const auto events, database_.Read([&](Transaction& transaction) {
    return ReadEvents(transaction, "", first * step, now);
  }));
  std::map<std::string, std::int64_t> totals;
  for (const Event& event : events) {
    if (wanted.empty() || event.type == wanted) totals[event.device_id] += 1;
  }
  std::vector<std::pair<std::int64_t, std::string>> most;
  for (const auto& [device_id, total] : totals) most.emplace_back(-total, device_id);
  std::sort(most.begin(), most.end());
  if (most.size() > request.Limit(10, 100)) most.resize(request.Limit(10, 100));
  std::map<std::pair<std::int64_t, std::string>, std::int64_t> counts;
  for (const Event& event : events) {
    if (wanted.empty() || event.type == wanted) {
      counts[{event.received_ms / step, event.device_id}] += 1;
    }
  }
  Json::Array timeline;
  for (std::int64_t at = first; at <= now / step; ++at) {
    const std::string time = base::FormatTime(base::Time(base::Duration(at * step)));
    Json line = Json::MakeObject({{"date", period == "day" ? time : time.substr(0, 10)}});
    for (const auto& [total, device_id] : most) line.Set(device_id, counts[{at, device_id}]);
    timeline.push_back(std::move(line));
  }
  return Json(std::move(timeline));
}

void Pages::AddDriftPages(http::Router& router) {
  Get(router, "/api/drift/events", &Pages::DriftEvents);
  Get(router, "/api/drift/events/{event_id}", &Pages::DriftEvent);
  Get(router, "/api/drift/events/{event_id}/samples", &Pages::DriftSamples);
  Get(router, "/api/drift/samples/{sample_id}", &Pages::DriftSample);
  Get(router, "/api/drift/validations/pending", &Pages::PendingValidations);
  Get(router, "/api/drift/statistics", &Pages::DriftStatistics);
  Get(router, "/api/drift/diagnose", &Pages::Diagnose);
  Get(router, "/api/drift/devices/{device_id}/metrics", &Pages::DeviceDriftMetrics);
  Get(router, "/api/drift-dashboard/statistics/by-device", &Pages::DriftByDevice);
  Get(router, "/api/drift-dashboard/timeline/by-device", &Pages::DriftTimeline);
  Change(router, Method::kPost, "/api/drift/events", &Pages::CreateDriftEvent);
  Change(router, Method::kPatch, "/api/drift/events/{event_id}/status", &Pages::SetDriftStatus);
  Change(router, Method::kPost, "/api/drift/samples/{sample_id}/validate", &Pages::Validate);
  Change(router, Method::kPost, "/api/drift/validations/acknowledge", &Pages::Acknowledge);
  Change(router, Method::kPost, "/api/drift/repair", &Pages::Repair);
  router.Add(
      {.method = Method::kPost,
       .path = "/api/drift/events/package",
       .access = Access::kOperator,
       .body = BodyRule::Memory(16u << 20),
       .handler =
           [this](Request& request) { return http::Answer(CreateDriftEventFromPackage(request)); },
       .too_large = nullptr});
}

}  // namespace tinysphere::legacy
