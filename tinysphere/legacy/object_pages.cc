#include <memory>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/legacy/pages.h"
#include "tinysphere/legacy/unpacking.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::legacy {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::Access;
using http::BodyRule;
using http::Method;
using http::Request;
using http::Response;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

std::string FileName(std::string_view key) { return std::string(key.substr(key.rfind('/') + 1)); }

std::string ContentTypeOf(std::string_view key) {
  if (key.ends_with(".png")) return "image/png";
  if (key.ends_with(".jpg") || key.ends_with(".jpeg")) return "image/jpeg";
  return key.ends_with(".jsonl") ? "application/x-ndjson" : "application/octet-stream";
}

Json TextsOf(const Rows& rows, std::string_view column) {
  Json::Array texts;
  for (const Row& row : rows) texts.push_back(row.Text(column));
  return Json(std::move(texts));
}

bool IsAscending(const Request& request) {
  return request.Query("sort_order") == "asc" || request.Query("sort_order") == "oldest";
}

// yyyymmdd of a time.
std::string DateOf(base::Time at) {
  std::string day = DayOf(at.time_since_epoch().count());
  std::erase(day, '-');
  return day;
}

Json ImageJson(const Row& row, std::string_view type_name, const std::string& type,
               std::string_view root) {
  const std::string key = row.Text("object_key");
  return Json::MakeObject({{"key", key},
                           {"device_id", row.Text("device_id")},
                           {std::string(type_name), type},
                           {"date", DateOf(row.Time("at"))},
                           {"filename", FileName(key)},
                           {"size", row.OptionalInt("bytes")},
                           {"last_modified", base::FormatTime(row.Time("at"))},
                           {"url", base::StrCat(root, "/image/", key)}});
}

// A time as the prototype's dashboard sends it: a day, or a time.
std::optional<base::Time> TimeOf(std::string_view text) {
  if (text.size() == 10) {
    const auto at = base::ParseTime(base::StrCat(text, "T00:00:00.000Z"));
    return at.ok() ? std::optional(*at) : std::nullopt;
  }
  const auto at = base::ParseTime(text);
  return at.ok() ? std::optional(*at) : std::nullopt;
}

}  // namespace

// ---- pictures of predictions -------------------------------------------------------------------

base::Result<Json> Pages::ImageDevices(const Request&) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT device_id FROM devices d WHERE EXISTS (SELECT 1 FROM "
                                   "images_index i WHERE i.device_id = d.device_id) "
                                   "ORDER BY device_id LIMIT 10000"));
  return TextsOf(rows, "device_id");
}

base::Result<Json> Pages::ImageTypes(const Request& request) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT DISTINCT label FROM images_index WHERE device_id = $1 "
                                   "ORDER BY label LIMIT 1000",
                                   {request.Param("device_id")}));
  return TextsOf(rows, "label");
}

base::Result<Json> Pages::ImageDates(const Request& request) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT DISTINCT day FROM images_index WHERE device_id = $1 AND "
                                   "label = $2 ORDER BY day DESC LIMIT 1000",
                                   {request.Param("device_id"), request.Param("type")}));
  Json::Array days;
  for (const Row& row : rows) days.push_back(std::to_string(row.Int("day")));
  return Json(std::move(days));
}

base::Result<Json> Pages::Images(const Request& request) {
  const std::string device_id(request.Query("device_id"));
  const std::string label(request.Query("prediction_type"));
  const std::string date(request.Query("date"));
  std::int64_t from = 0;
  std::int64_t until = 9'000'000'000'000'000;
  if (!date.empty()) {
    const auto day = DayBegins(date);
    if (!day) return Error{ErrorCode::kInvalidArgument, "date: yyyymmdd"};
    from = *day;
    until = from + kDayMs;
  }
  constexpr std::string_view kChosen =
      "FROM images_index WHERE at >= $1 AND at < $2 AND ($3 = '' OR device_id = $3) AND "
      "($4 = '' OR label = $4) ";
  ASSIGN_OR_RETURN(const auto total,
                   database_.QueryOne(base::StrCat("SELECT COUNT(*) AS n ", kChosen),
                                      {from, until, device_id, label}));
  ASSIGN_OR_RETURN(
      const Rows rows,
      database_.Query(base::StrCat("SELECT device_id, label, at, bytes, object_key ", kChosen,
                                   IsAscending(request) ? "ORDER BY at, sample_id "
                                                        : "ORDER BY at DESC, sample_id DESC ",
                                   "LIMIT $5 OFFSET $6"),
                      {from, until, device_id, label, request.Limit(100, 1000), SkipOf(request)}));
  Json::Array images;
  for (const Row& row : rows) {
    images.push_back(
        ImageJson(row, "prediction_type", row.Text("label"), "/api/prediction-images"));
  }
  return Json::MakeObject({{"total", total->Int("n")}, {"images", std::move(images)}});
}

// ---- pictures of drift -------------------------------------------------------------------------

namespace {

constexpr std::string_view kSelectDriftImages =
    "SELECT s.device_id, s.event_id, s.object_key, e.received_at AS at, NULL AS bytes, e.kind, "
    "e.document FROM drift_samples s JOIN drift_events e ON e.event_id = s.event_id "
    "WHERE s.object_key <> '' ";

// An event's type in the prototype's words, by its first signal, else by its kind.
std::string TypeOfEvent(const Row& row) {
  const Json document = row.Document("document");
  std::string type = "unknown";
  const Json* signals = document.Find("signals");
  if (signals != nullptr && signals->is_array() && !signals->as_array().empty()) {
    const Json* name = signals->as_array().front().Find("name");
    if (name != nullptr && name->is_string()) type = DriftTypeOf(name->as_string());
  }
  return type == "unknown" ? DriftTypeOf(row.Text("kind")) : type;
}

}  // namespace

base::Result<Json> Pages::DriftImageDevices(const Request&) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT device_id FROM devices d WHERE EXISTS (SELECT 1 FROM "
                                   "drift_samples s WHERE s.device_id = d.device_id AND "
                                   "s.object_key <> '') ORDER BY device_id LIMIT 10000"));
  return TextsOf(rows, "device_id");
}

base::Result<Json> Pages::DriftImageTypes(const Request& request) {
  ASSIGN_OR_RETURN(
      const Rows rows,
      database_.Query(std::string(kSelectDriftImages) +
                          "AND s.device_id = $1 ORDER BY e.received_at DESC LIMIT 5000",
                      {request.Param("device_id")}));
  Json::Array types;
  for (const Row& row : rows) {
    const Json type = TypeOfEvent(row);
    if (std::find(types.begin(), types.end(), type) == types.end()) types.push_back(type);
  }
  return Json(std::move(types));
}

base::Result<Json> Pages::DriftImageDates(const Request& request) {
  ASSIGN_OR_RETURN(
      const Rows rows,
      database_.Query(std::string(kSelectDriftImages) +
                          "AND s.device_id = $1 ORDER BY e.received_at DESC LIMIT 5000",
                      {request.Param("device_id")}));
  Json::Array dates;
  for (const Row& row : rows) {
    if (TypeOfEvent(row) != request.Param("type")) continue;
    const Json date = DateOf(row.Time("at"));
    if (std::find(dates.begin(), dates.end(), date) == dates.end()) dates.push_back(date);
  }
  return Json(std::move(dates));
}

// Looks through the newest 5,000 pictures that fit device, day and event.
base::Result<Json> Pages::DriftImages(const Request& request) {
  std::int64_t from = 0;
  std::int64_t until = 9'000'000'000'000'000;
  const std::string date(request.Query("date"));
  if (!date.empty()) {
    const auto day = DayBegins(date);
    if (!day) return Error{ErrorCode::kInvalidArgument, "date: yyyymmdd"};
    from = *day;
    until = from + kDayMs;
  }
  ASSIGN_OR_RETURN(
      const Rows rows,
      database_.Query(base::StrCat(kSelectDriftImages,
                                   "AND e.received_at >= $1 AND e.received_at < $2 AND ($3 = '' OR "
                                   "s.device_id = $3) AND ($4 = '' OR s.event_id = $4) "
                                   "ORDER BY e.received_at ",
                                   IsAscending(request) ? "" : "DESC ", "LIMIT 5000"),
                      {from, until, std::string(request.Query("device_id")),
                       std::string(request.Query("event_id"))}));
  std::string wanted(request.Query("drift_type"));
  if (!wanted.empty()) wanted = DriftTypeOf(wanted);
  const std::size_t limit = request.Limit(100, 1000);
  const auto skip = static_cast<std::size_t>(SkipOf(request));
  Json::Array images;
  std::size_t total = 0;
  for (const Row& row : rows) {
    const std::string type = TypeOfEvent(row);
    if (!wanted.empty() && type != wanted) continue;
    if (total++ < skip || images.size() >= limit) continue;
    Json image = ImageJson(row, "drift_type", type, "/api/drift-images");
    image.Set("event_id", row.Text("event_id"));
    images.push_back(std::move(image));
  }
  return Json::MakeObject(
      {{"total", static_cast<std::int64_t>(total)}, {"images", std::move(images)}});
}

// ---- logs --------------------------------------------------------------------------------------

base::Result<Json> Pages::LogDevices(const Request&) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT device_id FROM devices d WHERE EXISTS (SELECT 1 FROM "
                                   "logs_index l WHERE l.device_id = d.device_id) "
                                   "ORDER BY device_id LIMIT 10000"));
  return TextsOf(rows, "device_id");
}

base::Result<Json> Pages::LogSessions(const Request& request) {
  ASSIGN_OR_RETURN(const Rows rows,
                   database_.Query("SELECT DISTINCT boot FROM logs_index WHERE device_id = $1 "
                                   "ORDER BY boot LIMIT 10000",
                                   {request.Param("device_id")}));
  return TextsOf(rows, "boot");
}

base::Result<Json> Pages::LogTypes(const Request& request) {
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne("SELECT seq FROM logs_index WHERE device_id = $1 LIMIT 1",
                                      {request.Param("device_id")}));
  return Json(row ? Json::Array{"operational"} : Json::Array{});
}

// A part for each package that brought lines.
base::Result<Json> Pages::Logs(const Request& request) {
  const auto bound = [&](std::string_view name,
                         std::int64_t otherwise) -> base::Result<std::int64_t> {
    const std::string_view text = request.Query(name);
    if (text.empty()) return otherwise;
    const auto at = TimeOf(text);
    if (!at) return Error{ErrorCode::kInvalidArgument, base::StrCat(name, ": no time")};
    return at->time_since_epoch().count();
  };
  ASSIGN_OR_RETURN(const std::int64_t from, bound("start_date", 0));
  ASSIGN_OR_RETURN(const std::int64_t until, bound("end_date", 9'000'000'000'000'000));
  const std::string_view type = request.Query("log_type");
  const std::string device_id(request.Query("device_id"));
  const std::string session(request.Query("session_id"));
  constexpr std::string_view kChosen =
      "FROM logs_index WHERE received_at >= $1 AND received_at <= $2 AND ($3 = '' OR "
      "device_id = $3) AND ($4 = '' OR boot = $4) ";
  Json::Array logs;
  if (!type.empty() && type != "operational") {
    return Json::MakeObject({{"total", 0}, {"logs", std::move(logs)}});
  }
  ASSIGN_OR_RETURN(const auto total,
                   database_.QueryOne(base::StrCat("SELECT COUNT(*) AS n ", kChosen),
                                      {from, until, device_id, session}));
  ASSIGN_OR_RETURN(
      const Rows rows,
      database_.Query(
          base::StrCat("SELECT device_id, boot, seq, bytes, received_at, object_key ", kChosen,
                       IsAscending(request) ? "ORDER BY received_at, device_id, seq "
                                            : "ORDER BY received_at DESC, device_id, seq DESC ",
                       "LIMIT $5 OFFSET $6"),
          {from, until, device_id, session, request.Limit(100, 1000), SkipOf(request)}));
  for (const Row& row : rows) {
    const std::string key = row.Text("object_key");
    logs.push_back(Json::MakeObject({{"key", key},
                                     {"device_id", row.Text("device_id")},
                                     {"session_id", row.Text("boot")},
                                     {"filename", FileName(key)},
                                     {"size", row.Int("bytes")},
                                     {"last_modified", base::FormatTime(row.Time("received_at"))},
                                     {"url", "/api/operational-logs/log/" + key},
                                     {"log_type", "operational"},
                                     {"is_consolidated", false}}));
  }
  return Json::MakeObject({{"total", total->Int("n")}, {"logs", std::move(logs)}});
}

// Rows first: an object that is left behind is found by fsck, a row without its object by nobody.
base::Result<Json> Pages::DeleteLogs(const Request& request) {
  const std::string& device_id = request.Param("device_id");
  const auto session_at = request.params.find("session_id");
  const std::string session = session_at == request.params.end() ? "" : session_at->second;
  std::int64_t deleted = 0;
  for (;;) {
    std::vector<std::string> keys;
    const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
      keys.clear();
      ASSIGN_OR_RETURN(const Rows rows,
                       transaction.Query("SELECT boot, seq, object_key FROM logs_index WHERE "
                                         "device_id = $1 AND ($2 = '' OR boot = $2) LIMIT 500",
                                         {device_id, session}));
      for (const Row& row : rows) {
        RETURN_IF_ERROR(transaction.Execute(
            "DELETE FROM logs_index WHERE device_id = $1 AND boot = $2 AND seq = $3",
            {device_id, row.Text("boot"), row.Int("seq")}));
        keys.push_back(row.Text("object_key"));
      }
      if (keys.empty()) return {};
      return access::WriteAudit(
          transaction,
          {.at = clock_.Now(),
           .who = request.identity.id,
           .action = "logs.delete",
           .subject = device_id,
           .detail = base::StrCat(keys.size(), " parts", session.empty() ? "" : " of ", session)});
    });
    if (!written.ok()) return written.error();
    if (keys.empty()) break;
    for (const std::string& key : keys) RETURN_IF_ERROR(objects_.Delete(key));
    deleted += static_cast<std::int64_t>(keys.size());
  }
  return Json::MakeObject({{"success", true},
                           {"deleted_count", deleted},
                           {"message", base::StrCat(deleted, " parts of the log are gone")}});
}

// ---- contents ----------------------------------------------------------------------------------

void Pages::AddObjectRoutes(http::Router& router, const std::string& root, const std::string& what,
                            std::vector<std::string_view> buckets) {
  // Only what lies in these buckets: a key is what the caller says it is.
  const auto check = [buckets](const std::string& key) -> base::Status {
    for (const std::string_view bucket : buckets) {
      if (key.size() > bucket.size() && key.starts_with(bucket) && key[bucket.size()] == '/') {
        return store::CheckObjectKey(key);
      }
    }
    return Error{ErrorCode::kNotFound, "no such object"};
  };
  router.Add({.method = Method::kGet,
              .path = root + "/url/{key...}",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [check, root, what](Request& request) -> base::Result<Response> {
                const std::string& key = request.Param("key");
                RETURN_IF_ERROR(check(key));
                return Response::Json(
                    Json::MakeObject({{"url", base::StrCat(root, "/", what, "/", key)}}));
              },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = base::StrCat(root, "/", what, "/{key...}"),
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this, check](Request& request) -> base::Result<Response> {
                const std::string& key = request.Param("key");
                RETURN_IF_ERROR(check(key));
                ASSIGN_OR_RETURN(std::unique_ptr<base::ReadableFile> file, objects_.Get(key));
                Response response = Response::File(
                    request, std::shared_ptr<const base::ReadableFile>(std::move(file)),
                    ContentTypeOf(key), base::HexEncode(base::Sha256Of(base::AsBytes(key))), false);
                if (request.Query("download") == "true") {
                  response.headers.Add(
                      "Content-Disposition",
                      base::StrCat("attachment; filename=\"", FileName(key), "\""));
                }
                return response;
              },
              .too_large = nullptr});
}

void Pages::AddImagePages(http::Router& router) {
  Get(router, "/api/prediction-images/devices", &Pages::ImageDevices);
  Get(router, "/api/prediction-images/devices/{device_id}/types", &Pages::ImageTypes);
  Get(router, "/api/prediction-images/devices/{device_id}/types/{type}/dates", &Pages::ImageDates);
  Get(router, "/api/prediction-images/list", &Pages::Images);
  AddObjectRoutes(router, "/api/prediction-images", "image", {store::kPredictionImagesBucket});
  Get(router, "/api/drift-images/devices", &Pages::DriftImageDevices);
  Get(router, "/api/drift-images/devices/{device_id}/types", &Pages::DriftImageTypes);
  Get(router, "/api/drift-images/devices/{device_id}/types/{type}/dates", &Pages::DriftImageDates);
  Get(router, "/api/drift-images/list", &Pages::DriftImages);
  AddObjectRoutes(router, "/api/drift-images", "image",
                  {store::kDriftBucket, store::kDriftSamplesBucket});
}

void Pages::AddLogPages(http::Router& router) {
  Get(router, "/api/operational-logs/devices", &Pages::LogDevices);
  Get(router, "/api/operational-logs/devices/{device_id}/sessions", &Pages::LogSessions);
  Get(router, "/api/operational-logs/devices/{device_id}/types", &Pages::LogTypes);
  Get(router, "/api/operational-logs/list", &Pages::Logs);
  AddObjectRoutes(router, "/api/operational-logs", "log", {store::kDataLogsBucket});
  Change(router, Method::kDelete, "/api/operational-logs/device/{device_id}", &Pages::DeleteLogs);
  Change(router, Method::kDelete, "/api/operational-logs/device/{device_id}/session/{session_id}",
         &Pages::DeleteLogs);
}

}  // namespace tinysphere::legacy
