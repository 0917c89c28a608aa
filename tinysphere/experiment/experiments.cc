#include "tinysphere/experiment/experiments.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "protocol/archive.h"
#include "protocol/bundle.h"
#include "protocol/identifiers.h"
#include "tinysphere/access/audit.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/http/page.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::experiment {

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

constexpr std::string_view kTrainingFormat = "tinylcm-training/1";
constexpr std::string_view kTrainingPath = "training.json";
constexpr std::size_t kTrainingJsonMax = 1u << 20;
constexpr std::size_t kFiguresMax = 500;
constexpr std::int64_t kSetAsideShown = 20;

Json TextOrNull(const Row& row, std::string_view column) {
  const auto text = row.OptionalText(column);
  return !text || text->empty() ? Json() : Json(*text);
}

Json TimeOrNull(const Row& row, std::string_view column) {
  const auto time = row.OptionalTime(column);
  return time ? Json(base::FormatTime(*time)) : Json();
}

constexpr std::string_view kSelectRun =
    "SELECT r.run_id, r.run_key, r.experiment, r.kind, r.name, r.status, r.device_id, r.bundle, "
    "r.parent_run_id, r.started_at, r.ended_at, r.mlflow_id, (SELECT COUNT(*) FROM outbox o WHERE "
    "o.run_id = r.run_id AND o.state = 'waiting') AS waiting, (SELECT COUNT(*) FROM outbox o WHERE "
    "o.run_id = r.run_id AND o.state = 'set_aside') AS set_aside FROM runs r ";

Json RunJson(const Row& row) {
  const char* state = row.Int("set_aside") > 0        ? "set_aside"
                      : row.Int("waiting") > 0        ? "waiting"
                      : row.Text("mlflow_id").empty() ? "none"
                                                      : "sent";
  return Json::MakeObject(
      {{"run_id", row.Text("run_id")},
       {"experiment", row.Text("experiment")},
       {"kind", row.Text("kind")},
       {"name", row.Text("name")},
       {"status", row.Text("status")},
       {"device_id", TextOrNull(row, "device_id")},
       {"bundle", TextOrNull(row, "bundle")},
       {"parent_run_id", TextOrNull(row, "parent_run_id")},
       {"started_at", base::FormatTime(row.Time("started_at"))},
       {"ended_at", TimeOrNull(row, "ended_at")},
       {"mlflow", Json::MakeObject({{"run_id", TextOrNull(row, "mlflow_id")}, {"state", state}})}});
}

base::Result<Json> Pairs(Transaction& transaction, const char* table, const std::string& run_id) {
  ASSIGN_OR_RETURN(const Rows rows,
                   transaction.Query(base::StrCat("SELECT name, value FROM ", table,
                                                  " WHERE run_id = $1 ORDER BY name"),
                                     {run_id}));
  Json json = Json::MakeObject();
  for (const Row& row : rows) json.Set(row.Text("name"), row.Text("value"));
  return json;
}

// Reads the first entry, which must be training.json, and walks over the rest, which is kept as it
// is and never unpacked here.
base::Result<std::string> ReadTrainingJson(const base::ReadableFile& file) {
  protocol::FileSource source(file);
  ASSIGN_OR_RETURN(const auto archive,
                   protocol::ArchiveReader::Open(source, protocol::kBundleLimits));
  std::string text;
  bool is_first = true;
  base::Bytes block(64u << 10);
  while (true) {
    ASSIGN_OR_RETURN(const auto path, archive->Next());
    if (!path) break;
    if (is_first && *path != kTrainingPath) {
      return Error{ErrorCode::kInvalidArgument, "training: the first entry is not training.json"};
    }
    while (true) {
      ASSIGN_OR_RETURN(const std::size_t count, archive->Read(block));
      if (count == 0) break;
      if (!is_first) continue;
      text += base::AsText({block.data(), count});
      if (text.size() > kTrainingJsonMax) {
        return Error{ErrorCode::kInvalidArgument, "training: training.json is larger than 1 MiB"};
      }
    }
    is_first = false;
  }
  if (is_first) return Error{ErrorCode::kInvalidArgument, "training: the archive is empty"};
  return text;
}

}  // namespace

base::Result<Training> ParseTraining(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(text));
  base::JsonReader reader(json, "training.json");
  const base::JsonReader::TextLimits brief{.bytes_max = 200};
  if (reader.String("format") != kTrainingFormat) {
    reader.Refuse("format", "tinylcm-training/1 is wanted");
  }
  Training training{.sha256 = "",
                    .name = reader.String("name", brief),
                    .version = reader.String("version", brief),
                    .model_family = reader.String("model_family", brief),
                    .bundle = reader.String("bundle"),
                    .params = {},
                    .metrics = {},
                    .dataset = std::nullopt,
                    .object_key = "",
                    .bytes = 0,
                    .by = ""};
  for (const char* name : {"name", "version", "model_family"}) {
    if (reader.Has(name) && reader.String(name, brief).empty()) reader.Refuse(name, "empty");
  }
  if (!protocol::IsSha256Hex(training.bundle)) reader.Refuse("bundle", "64 hex digits are wanted");
  base::JsonReader params = reader.Object("params");
  base::JsonReader metrics = reader.Object("metrics");
  if (params.json().is_object()) {
    if (params.json().as_object().size() > kFiguresMax) reader.Refuse("params", "too many");
    for (const auto& [name, value] : params.json().as_object()) {
      training.params[name] = params.String(name, {.bytes_max = 20'000});
    }
  }
  if (metrics.json().is_object()) {
    if (metrics.json().as_object().size() > kFiguresMax) reader.Refuse("metrics", "too many");
    for (const auto& [name, value] : metrics.json().as_object()) {
      if (!value.is_null()) training.metrics[name] = metrics.Double(name);
    }
  }
  if (reader.Has("dataset")) {
    base::JsonReader dataset = reader.Object("dataset");
    training.dataset = Dataset{.name = dataset.String("name", brief),
                               .digest = dataset.String("sha256"),
                               .source = dataset.OptionalString("source").value_or(""),
                               .profile = "",
                               .context = "training"};
    if (!protocol::IsSha256Hex(training.dataset->digest)) {
      dataset.Refuse("sha256", "64 hex digits are wanted");
    }
    // Everything else that stands there describes it.
    training.dataset->profile = dataset.json().Write();
    if (training.dataset->profile.size() > 100'000) reader.Refuse("dataset", "larger than 100 KB");
  }
  RETURN_IF_ERROR(reader.status());
  return training;
}

base::Result<Json> Experiments::List(const Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  ASSIGN_OR_RETURN(
      Rows rows,
      database_.Query("SELECT x.name, x.kind, x.subject, x.created_at, x.mlflow_id, "
                      "(SELECT COUNT(*) FROM runs r WHERE r.experiment = x.name) AS runs, "
                      "(SELECT MAX(r.started_at) FROM runs r WHERE r.experiment = x.name) AS "
                      "last_run_at FROM experiments x WHERE x.name > $1 ORDER BY x.name LIMIT $2",
                      {cursor ? cursor->text : "", limit + 1}));
  return http::MakePage(
      std::move(rows), limit,
      [](const Row& row) {
        return Json::MakeObject({{"name", row.Text("name")},
                                 {"kind", row.Text("kind")},
                                 {"subject", row.Text("subject")},
                                 {"created_at", base::FormatTime(row.Time("created_at"))},
                                 {"runs", row.Int("runs")},
                                 {"last_run_at", TimeOrNull(row, "last_run_at")},
                                 {"mlflow_experiment_id", TextOrNull(row, "mlflow_id")}});
      },
      [](const Row& row) { return http::Cursor{.number = 0, .text = row.Text("name")}; });
}

base::Result<Json> Experiments::Runs(const Request& request) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  const std::int64_t before = cursor ? cursor->number : std::numeric_limits<std::int64_t>::max();
  // The column that narrows most stands as an equality of its own, so that its index is walked.
  std::string where;
  store::Params params = {before, cursor ? cursor->text : "", limit + 1};
  for (const auto& [name, column] :
       {std::pair{"experiment", "r.experiment"}, std::pair{"device", "r.device_id"},
        std::pair{"kind", "r.kind"}}) {
    const std::string value(request.Query(name));
    if (value.empty()) continue;
    params.emplace_back(value);
    where += base::StrCat(column, " = $", params.size(), " AND ");
  }
  ASSIGN_OR_RETURN(
      Rows rows, database_.Query(
                     base::StrCat(kSelectRun, "WHERE ", where,
                                  "(r.started_at, r.run_id) < ($1, $2) ORDER BY r.started_at DESC, "
                                  "r.run_id DESC LIMIT $3"),
                     params));
  return http::MakePage(std::move(rows), limit, RunJson, [](const Row& row) {
    return http::Cursor{.number = row.Int("started_at"), .text = row.Text("run_id")};
  });
}

base::Result<Json> Experiments::Run(const std::string& run_id) {
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    ASSIGN_OR_RETURN(
        const auto row,
        transaction.QueryOne(base::StrCat(kSelectRun, "WHERE r.run_id = $1"), {run_id}));
    if (!row) return Error{ErrorCode::kNotFound, "no run is called " + run_id};
    Json json = RunJson(*row);
    ASSIGN_OR_RETURN(Json params, Pairs(transaction, "run_params", run_id));
    ASSIGN_OR_RETURN(Json tags, Pairs(transaction, "run_tags", run_id));
    json.Set("params", std::move(params));
    json.Set("tags", std::move(tags));
    ASSIGN_OR_RETURN(const Rows points,
                     transaction.Query("SELECT name, step, at, value FROM run_metrics WHERE "
                                       "run_id = $1 ORDER BY name, step LIMIT 10000",
                                       {run_id}));
    Json::Array metrics;
    for (const Row& point : points) {
      metrics.push_back(Json::MakeObject({{"name", point.Text("name")},
                                          {"step", point.Int("step")},
                                          {"at", base::FormatTime(point.Time("at"))},
                                          {"value", point.Double("value")}}));
    }
    json.Set("metrics", std::move(metrics));
    ASSIGN_OR_RETURN(const Rows inputs,
                     transaction.Query("SELECT i.name, i.digest, i.context, d.source FROM "
                                       "run_datasets i JOIN datasets d ON d.name = i.name AND "
                                       "d.digest = i.digest WHERE i.run_id = $1 ORDER BY i.name",
                                       {run_id}));
    Json::Array datasets;
    for (const Row& input : inputs) {
      datasets.push_back(Json::MakeObject({{"name", input.Text("name")},
                                           {"digest", input.Text("digest")},
                                           {"context", input.Text("context")},
                                           {"source", input.Text("source")}}));
    }
    json.Set("datasets", std::move(datasets));
    ASSIGN_OR_RETURN(const Rows files,
                     transaction.Query("SELECT path, bytes, sha256 FROM run_artifacts WHERE "
                                       "run_id = $1 ORDER BY path",
                                       {run_id}));
    Json::Array artifacts;
    for (const Row& file : files) {
      artifacts.push_back(Json::MakeObject({{"path", file.Text("path")},
                                            {"bytes", file.Int("bytes")},
                                            {"sha256", file.Text("sha256")}}));
    }
    json.Set("artifacts", std::move(artifacts));
    return json;
  });
}

base::Result<Json> Experiments::Mlflow() {
  Json json = Json::MakeObject({{"is_configured", static_cast<bool>(state_)}});
  const Json state = state_ ? state_() : Json();
  for (const char* key : {"is_reachable", "version", "last_error", "failed_at", "next_try_at"}) {
    json.Set(key, http::FieldOrNull(state, key));
  }
  return database_.Read([&](Transaction& transaction) -> base::Result<Json> {
    ASSIGN_OR_RETURN(const auto waiting,
                     transaction.QueryOne("SELECT COUNT(*) AS n FROM outbox WHERE "
                                          "state = 'waiting'"));
    ASSIGN_OR_RETURN(const auto oldest,
                     transaction.QueryOne("SELECT created_at FROM outbox WHERE state = 'waiting' "
                                          "ORDER BY entry_id LIMIT 1"));
    ASSIGN_OR_RETURN(const auto aside,
                     transaction.QueryOne("SELECT COUNT(*) AS n FROM outbox WHERE "
                                          "state = 'set_aside'"));
    json.Set("waiting", waiting ? waiting->Int("n") : 0);
    json.Set("oldest_waiting_at", oldest ? TimeOrNull(*oldest, "created_at") : Json());
    json.Set("set_aside", aside ? aside->Int("n") : 0);
    ASSIGN_OR_RETURN(const Rows rows,
                     transaction.Query("SELECT o.entry_id, o.run_id, r.name, o.error, o.attempts, "
                                       "o.created_at FROM outbox o JOIN runs r ON r.run_id = "
                                       "o.run_id WHERE o.state = 'set_aside' "
                                       "ORDER BY o.entry_id DESC LIMIT $1",
                                       {kSetAsideShown}));
    Json::Array items;
    for (const Row& row : rows) {
      items.push_back(Json::MakeObject({{"run_id", row.Text("run_id")},
                                        {"name", row.Text("name")},
                                        {"error", row.Text("error")},
                                        {"attempts", row.Int("attempts")},
                                        {"created_at", base::FormatTime(row.Time("created_at"))}}));
    }
    json.Set("set_aside_entries", std::move(items));
    return json;
  });
}

base::Result<Json> Experiments::Retry(const std::string& by) {
  const base::Time now = clock_.Now();
  ASSIGN_OR_RETURN(const std::int64_t retried, database_.Write([&](Transaction& transaction)
                                                                   -> base::Result<std::int64_t> {
    ASSIGN_OR_RETURN(const std::int64_t changed,
                     transaction.Execute("UPDATE outbox SET state = 'waiting', progress = '', "
                                         "due_at = 0 WHERE state = 'set_aside'"));
    if (changed == 0) return changed;
    RETURN_IF_ERROR(access::WriteAudit(transaction, {.at = now,
                                                     .who = by,
                                                     .action = "mlflow.retry",
                                                     .subject = "outbox",
                                                     .detail = base::StrCat(changed, " entries")}));
    return changed;
  }));
  if (retried > 0 && wake_) wake_();
  return Json::MakeObject({{"retried", retried}});
}

base::Result<Experiments::Taken> Experiments::TakeTraining(const std::string& path,
                                                           const std::string& sha256,
                                                           std::uint64_t bytes,
                                                           const std::string& by) {
  std::string text;
  {
    ASSIGN_OR_RETURN(const auto file, fs_.Open(path));
    ASSIGN_OR_RETURN(text, ReadTrainingJson(*file));
  }
  ASSIGN_OR_RETURN(Training training, ParseTraining(text));
  training.sha256 = sha256;
  training.bytes = bytes;
  training.by = by;
  training.object_key = base::StrCat(store::kBundlesBucket, "/training/", sha256);
  const std::string run_id = RunIdOf("training:" + sha256);
  ASSIGN_OR_RETURN(const auto standing,
                   database_.QueryOne("SELECT run_id FROM runs WHERE run_id = $1", {run_id}));
  if (!standing) RETURN_IF_ERROR(objects_.Adopt(training.object_key, path));
  const base::Time now = clock_.Now();
  const base::Status written = database_.Write([&](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(recorder_.Trained(transaction, training, now));
    return access::WriteAudit(transaction,
                              {.at = now,
                               .who = by,
                               .action = "training.add",
                               .subject = base::StrCat(training.name, " ", training.version),
                               .detail = run_id});
  });
  if (!written.ok()) return written.error();
  events_.Publish("run", Json::MakeObject({{"id", run_id}}));
  if (wake_) wake_();
  ASSIGN_OR_RETURN(Json run, Run(run_id));
  return Taken{.run = std::move(run), .is_new = !standing};
}

base::Status Experiments::RecordEarlierBundles() {
  ASSIGN_OR_RETURN(const Rows rows, database_.Query("SELECT bundle FROM bundles"));
  for (const Row& row : rows) {
    const std::string bundle = row.Text("bundle");
    ASSIGN_OR_RETURN(const auto known,
                     database_.QueryOne("SELECT run_id FROM runs WHERE run_id = $1",
                                        {RunIdOf("import:" + bundle)}));
    if (known) continue;
    const base::Status written = database_.Write([&](Transaction& transaction) {
      return recorder_.Imported(transaction, bundle, clock_.Now());
    });
    // One that no version is made of, or whose manifest cannot be read, is nobody's import, and no
    // reason not to serve.
    if (!written.ok() && (written.error().code == ErrorCode::kUnavailable ||
                          written.error().code == ErrorCode::kExhausted)) {
      return written;
    }
  }
  return {};
}

base::Status Experiments::ForgetSent(base::Time before) {
  RETURN_IF_ERROR(
      database_.Execute("DELETE FROM outbox WHERE state = 'sent' AND sent_at < $1", {before}));
  return {};
}

void Experiments::AddRoutes(http::Router& router) {
  const auto get = [&](std::string path, auto handler) {
    router.Add({.method = Method::kGet,
                .path = std::move(path),
                .access = Access::kViewer,
                .body = BodyRule::None(),
                .handler = [handler](Request& request) { return Answer(handler(request)); },
                .too_large = nullptr});
  };
  get("/api/v1/experiments", [this](Request& request) { return List(request); });
  get("/api/v1/runs", [this](Request& request) { return Runs(request); });
  get("/api/v1/runs/{run_id}", [this](Request& request) { return Run(request.Param("run_id")); });
  get("/api/v1/mlflow", [this](Request&) { return Mlflow(); });
  get("/api/v1/mlflow/versions", [this](Request& request) { return mirror_.Versions(request); });
  get("/api/v1/rollout-proposals", [this](Request& request) { return mirror_.Proposals(request); });
  router.Add({.method = Method::kPost,
              .path = "/api/v1/mlflow/retry",
              .access = Access::kOperator,
              .body = BodyRule::None(),
              .handler = [this](Request& request) { return Answer(Retry(request.identity.id)); },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/rollout-proposals/{proposal_id}/dismiss",
              .access = Access::kOperator,
              .body = BodyRule::None(),
              .handler =
                  [this](Request& request) {
                    return Answer(mirror_.Dismiss(request.Param("proposal_id"), request.identity.id,
                                                  clock_.Now()));
                  },
              .too_large = nullptr});
  router.Add({.method = Method::kPost,
              .path = "/api/v1/trainings",
              .access = Access::kOperator,
              .body = BodyRule::Spool(kTrainingBytesMax),
              .handler = [this](Request& request) -> base::Result<Response> {
                if (!request.body.is_spooled()) {
                  return Error{ErrorCode::kInvalidArgument, "training: the body is empty"};
                }
                ASSIGN_OR_RETURN(
                    Taken taken,
                    TakeTraining(request.body.path(), base::HexEncode(request.body.sha256()),
                                 request.body.bytes(), request.identity.id));
                return Response::Json(taken.is_new ? 201 : 200, taken.run);
              },
              .too_large = nullptr});
}

}  // namespace tinysphere::experiment
