#include "tinysphere/platform/mlflow/client.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "tinysphere/platform/mlflow/names.h"

namespace tinysphere::mlflow {

using base::Error;
using base::ErrorCode;
using base::Json;

namespace {

constexpr std::string_view kApi = "/api/2.0/mlflow/";
constexpr std::string_view kArtifacts = "/api/2.0/mlflow-artifacts/artifacts/";
constexpr std::string_view kArtifactScheme = "mlflow-artifacts:";
constexpr std::size_t kBatchBytesMax = 1'000'000;
constexpr std::size_t kAnswerBytesMax = 32u << 20;
constexpr std::size_t kFileBytesMax = 1u << 20;
constexpr int kPagesMax = 1000;

std::string TextOf(const Json& json, std::string_view key) {
  const Json* field = json.Find(key);
  return field != nullptr && field->is_string() ? field->as_string() : std::string();
}

// A number, or a number as text (versions).
std::int64_t IntOf(const Json& json, std::string_view key) {
  const Json* field = json.Find(key);
  if (field == nullptr) return 0;
  if (field->is_int()) return field->as_int();
  if (!field->is_string()) return 0;
  const auto number = base::ParseInt(field->as_string());
  return number.ok() ? *number : 0;
}

const Json::Array& ArrayOf(const Json& json, std::string_view key) {
  static const Json::Array none;
  const Json* field = json.Find(key);
  return field != nullptr && field->is_array() ? field->as_array() : none;
}

const Json& ObjectOf(const Json& json, std::string_view key) {
  static const Json none;
  const Json* field = json.Find(key);
  return field == nullptr ? none : *field;
}

std::map<std::string, std::string> TextsOf(const Json& json, std::string_view key) {
  std::map<std::string, std::string> texts;
  for (const Json& pair : ArrayOf(json, key)) texts[TextOf(pair, "key")] = TextOf(pair, "value");
  return texts;
}

Json ToPairs(const Texts& texts) {
  Json::Array pairs;
  for (const auto& [key, value] : texts) {
    pairs.push_back(Json::MakeObject({{"key", key}, {"value", value}}));
  }
  return pairs;
}

base::Status CheckPairs(std::string_view kind, const Texts& texts, std::size_t characters_max) {
  for (const auto& [key, value] : texts) {
    RETURN_IF_ERROR(CheckName(kind, key));
    RETURN_IF_ERROR(
        CheckText(base::StrCat("the value of the ", kind, " ", key), value, characters_max));
  }
  return {};
}

RunInfo ToRun(const Json& json) {
  const Json& info = ObjectOf(json, "info");
  const Json& data = ObjectOf(json, "data");
  RunInfo run{.id = TextOf(info, "run_id"),
              .artifact_uri = TextOf(info, "artifact_uri"),
              .status = TextOf(info, "status"),
              .is_deleted = TextOf(info, "lifecycle_stage") == "deleted",
              .params = TextsOf(data, "params"),
              .tags = TextsOf(data, "tags"),
              .models = {}};
  for (const Json& model : ArrayOf(ObjectOf(json, "outputs"), "model_outputs")) {
    run.models.push_back(TextOf(model, "model_id"));
  }
  return run;
}

LoggedModelInfo ToModel(const Json& json) {
  const Json& info = ObjectOf(json, "info");
  return {.id = TextOf(info, "model_id"),
          .artifact_uri = TextOf(info, "artifact_uri"),
          .status = TextOf(info, "status")};
}

VersionInfo ToVersion(const Json& json) {
  return {.name = TextOf(json, "name"),
          .version = IntOf(json, "version"),
          .source = TextOf(json, "source"),
          .run_id = TextOf(json, "run_id"),
          .description = TextOf(json, "description"),
          .created_ms = IntOf(json, "creation_timestamp"),
          .tags = TextsOf(json, "tags")};
}

base::Result<std::string> Wanted(std::string text, std::string_view what, std::string_view field) {
  if (!text.empty()) return text;
  return Error{ErrorCode::kInternal, base::StrCat("MLflow: ", what, ": no ", field, " in it")};
}

std::int64_t Milliseconds(base::Time time) { return time.time_since_epoch().count(); }

// The server's first line, where it is about what we sent. Others hold SQL and paths of theirs.
std::string Excerpt(const std::string& message) {
  std::string line = message.substr(0, std::min<std::size_t>(message.find('\n'), 200));
  for (char& c : line) {
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) >= 0x7f) c = '?';
  }
  return line;
}

Error ToError(const outbound::Answer& answer, const std::string& what) {
  const auto parsed = Json::Parse(answer.body);
  const std::string code = parsed.ok() ? TextOf(*parsed, "error_code") : "";
  const std::string said =
      base::StrCat("MLflow: ", what, ": ", answer.status, code.empty() ? "" : " ", code);
  const int status = answer.status;
  if (code == "RESOURCE_ALREADY_EXISTS") return {ErrorCode::kConflict, said};
  if (code == "RESOURCE_DOES_NOT_EXIST") return {ErrorCode::kNotFound, said};
  if (status == 401) {
    return {ErrorCode::kPermissionDenied,
            said +
                " (set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
                "MLFLOW_TRACKING_TOKEN)"};
  }
  if (status == 403) {
    const bool is_host = answer.body.find("Host header") != std::string::npos;
    return {ErrorCode::kPermissionDenied,
            said + (is_host ? " (it does not take this Host: start it with --allowed-hosts)"
                            : " (this user may not)")};
  }
  if (status == 408 || status == 429 || status == 502 || status == 503 || status == 504) {
    return {ErrorCode::kUnavailable, said};
  }
  // Any fault of its database but an OperationalError (which is a 503): a pool that ran dry, a
  // connection that was closed, two equal calls at once (3.17.2, mlflow/store/db/utils.py).
  if (status >= 500 || code == "BAD_REQUEST") return {ErrorCode::kInternal, said};
  if (status == 404 && code.empty()) {
    return {ErrorCode::kUnsupported, said + " (no such call there: MLflow 3 is wanted)"};
  }
  const std::string message = parsed.ok() ? TextOf(*parsed, "message") : "";
  const bool is_about_ours = code == "INVALID_PARAMETER_VALUE" && !message.starts_with('(');
  return {ErrorCode::kInvalidArgument, is_about_ours ? said + ": " + Excerpt(message) : said};
}

// For calls that every MLflow 3 has: no such call is what a proxy says while MLflow starts anew.
Error MayPass(Error error) {
  if (error.code == ErrorCode::kUnsupported) error.code = ErrorCode::kUnavailable;
  return error;
}

// What is found by one of our tags.
base::Result<std::string> TagFilter(const std::string& tag, const std::string& value) {
  RETURN_IF_ERROR(CheckFilterValue(tag));
  RETURN_IF_ERROR(CheckFilterValue(value));
  return base::StrCat("tags.`", tag, "` = '", value, "'");
}

}  // namespace

base::Result<Client> Client::Create(outbound::HttpClient& http, ClientOptions options) {
  while (options.url.ends_with('/')) options.url.pop_back();
  const bool is_http = options.url.starts_with("http://") || options.url.starts_with("https://");
  if (!is_http || options.url.find_first_of("?# @") != std::string::npos ||
      options.url.size() <= std::string_view("https://").size()) {
    return Error{ErrorCode::kInvalidArgument,
                 "--mlflow: http://HOST:PORT or https://HOST is wanted, without user and password; "
                 "those come from MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"};
  }
  return Client(http, std::move(options));
}

base::Result<outbound::Answer> Client::Send(outbound::Request request, const std::string& path,
                                            const std::string& what) {
  request.url = options_.url + path;
  request.own_connection = true;
  if (request.timeout == outbound::Request().timeout) request.timeout = options_.timeout;
  if (!options_.username.empty()) {
    const std::string both = base::StrCat(options_.username, ":", options_.password);
    request.headers.emplace_back("Authorization",
                                 "Basic " + base::Base64Encode(base::AsBytes(both)));
  } else if (!options_.token.empty()) {
    request.headers.emplace_back("Authorization", "Bearer " + options_.token);
  }
  if (!options_.workspace.empty()) {
    request.headers.emplace_back("X-MLFLOW-WORKSPACE", options_.workspace);
  }
  auto answer = http_->Do(request);
  if (!answer.ok()) return answer.error().Within("MLflow: " + what);
  if (answer->status / 100 != 2) return ToError(*answer, what);
  return answer;
}

base::Result<Json> Client::Call(const char* method, const std::string& path, const Query& query,
                                const Json& body, const std::string& what) {
  std::string target = base::StrCat(kApi, path);
  for (const auto& [name, value] : query) {
    target += base::StrCat(target.find('?') == std::string::npos ? "?" : "&", name, "=",
                           outbound::PercentEncode(value));
  }
  outbound::Request request;
  request.method = method;
  request.answer_bytes_max = kAnswerBytesMax;
  std::string text;
  if (!body.is_null()) {
    text = body.Write();
    request.headers.emplace_back("Content-Type", "application/json");
    request.body = base::AsBytes(text);
  }
  const auto answer = Send(request, target, what);
  if (!answer.ok()) return MayPass(answer.error());
  const Json::Limits limits{.bytes_max = kAnswerBytesMax, .depth_max = 32};
  auto parsed = Json::Parse(answer->body, limits);
  if (!parsed.ok()) {
    // Something else than MLflow answers there, or half of it: the outcome is not known.
    return Error{ErrorCode::kInternal, base::StrCat("MLflow: ", what, ": the answer is no JSON")};
  }
  return parsed;
}

base::Result<Json> Client::Get(const std::string& path, const Query& query,
                               const std::string& what) {
  return Call("GET", path, query, Json(), what);
}

base::Result<Json> Client::Post(const std::string& path, const Json& body,
                                const std::string& what) {
  return Call("POST", path, {}, body, what);
}

base::Result<std::string> Client::Version() {
  ASSIGN_OR_RETURN(const outbound::Answer answer, Send({}, "/version", "version"));
  const std::string version(base::Trim(answer.body));
  const bool is_version = !version.empty() && version.size() <= 40 &&
                          version.find_first_not_of("0123456789.abcdevorst+-") == std::string::npos;
  if (!is_version) {
    return Error{ErrorCode::kUnsupported, "MLflow: version: what answers there is no MLflow"};
  }
  return version;
}

base::Result<std::optional<ExperimentInfo>> Client::FindExperiment(const std::string& name) {
  RETURN_IF_ERROR(CheckExperimentName(name));
  const auto found =
      Get("experiments/get-by-name", {{"experiment_name", name}}, "experiment " + name);
  if (!found.ok() && found.error().code == ErrorCode::kNotFound) {
    return std::optional<ExperimentInfo>();
  }
  if (!found.ok()) return found.error();
  const Json& experiment = ObjectOf(*found, "experiment");
  ASSIGN_OR_RETURN(std::string id, Wanted(TextOf(experiment, "experiment_id"), "experiment", "id"));
  return std::optional(ExperimentInfo{
      .id = std::move(id), .is_deleted = TextOf(experiment, "lifecycle_stage") == "deleted"});
}

base::Result<std::string> Client::CreateExperiment(const std::string& name, const Texts& tags) {
  RETURN_IF_ERROR(CheckExperimentName(name));
  RETURN_IF_ERROR(CheckPairs("tag", tags, 5000));
  ASSIGN_OR_RETURN(
      const Json made,
      Post("experiments/create", Json::MakeObject({{"name", name}, {"tags", ToPairs(tags)}}),
           "create experiment " + name));
  return Wanted(TextOf(made, "experiment_id"), "create experiment", "id");
}

base::Status Client::RestoreExperiment(const std::string& id) {
  RETURN_IF_ERROR(Post("experiments/restore", Json::MakeObject({{"experiment_id", id}}),
                       "restore experiment " + id));
  return {};
}

base::Result<std::vector<RunInfo>> Client::FindRuns(const std::string& experiment_id,
                                                    const std::string& tag,
                                                    const std::string& value) {
  ASSIGN_OR_RETURN(const std::string filter, TagFilter(tag, value));
  ASSIGN_OR_RETURN(
      const Json found,
      Post("runs/search",
           Json::MakeObject({{"experiment_ids", Json::Array{Json(experiment_id)}},
                             {"filter", filter},
                             {"run_view_type", "ALL"},
                             {"max_results", 100},
                             {"order_by", Json::Array{Json("attributes.start_time ASC")}}}),
           "search runs"));
  std::vector<RunInfo> runs;
  for (const Json& run : ArrayOf(found, "runs")) runs.push_back(ToRun(run));
  return runs;
}

base::Result<RunInfo> Client::CreateRun(const std::string& experiment_id, const std::string& name,
                                        base::Time started_at, const Texts& tags) {
  RETURN_IF_ERROR(CheckText("run", name, 250));
  RETURN_IF_ERROR(CheckPairs("tag", tags, kTagMax));
  ASSIGN_OR_RETURN(const Json made, Post("runs/create",
                                         Json::MakeObject({{"experiment_id", experiment_id},
                                                           {"run_name", name},
                                                           {"start_time", Milliseconds(started_at)},
                                                           {"tags", ToPairs(tags)}}),
                                         "create run " + name));
  RunInfo run = ToRun(ObjectOf(made, "run"));
  if (run.id.empty()) return Error{ErrorCode::kInternal, "MLflow: create run: no run_id in it"};
  return run;
}

base::Result<RunInfo> Client::GetRun(const std::string& run_id) {
  ASSIGN_OR_RETURN(const Json found, Get("runs/get", {{"run_id", run_id}}, "run " + run_id));
  RunInfo run = ToRun(ObjectOf(found, "run"));
  if (run.id.empty()) return Error{ErrorCode::kInternal, "MLflow: run: no run_id in it"};
  return run;
}

base::Status Client::LogBatch(const std::string& run_id, const std::vector<MetricPoint>& metrics,
                              const Texts& params, const Texts& tags) {
  const std::size_t items = metrics.size() + params.size() + tags.size();
  if (items > 1000 || params.size() > 100 || tags.size() > 100) {
    return Error{ErrorCode::kInvalidArgument,
                 "MLflow: batch: at most 1000 in all, 100 parameters and 100 tags"};
  }
  Json::Array points;
  for (const MetricPoint& point : metrics) {
    RETURN_IF_ERROR(CheckName("metric", point.key));
    if (!std::isfinite(point.value)) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("metric ", point.key, ": no finite number, and 0 would be stored")};
    }
    if (point.timestamp_ms < 0) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("metric ", point.key, ": a time before 1970")};
    }
    points.push_back(Json::MakeObject({{"key", point.key},
                                       {"value", point.value},
                                       {"timestamp", point.timestamp_ms},
                                       {"step", point.step}}));
  }
  RETURN_IF_ERROR(CheckPairs("parameter", params, kParamMax));
  RETURN_IF_ERROR(CheckPairs("tag", tags, kTagMax));
  const Json body = Json::MakeObject({{"run_id", run_id},
                                      {"metrics", std::move(points)},
                                      {"params", ToPairs(params)},
                                      {"tags", ToPairs(tags)}});
  if (body.Write().size() > kBatchBytesMax) {
    return Error{ErrorCode::kInvalidArgument, "MLflow: batch: larger than 1 MB"};
  }
  RETURN_IF_ERROR(Post("runs/log-batch", body, "log to run " + run_id));
  return {};
}

base::Result<std::vector<MetricPoint>> Client::MetricHistory(const std::string& run_id,
                                                             const std::string& key) {
  std::vector<MetricPoint> points;
  std::string page;
  for (int i = 0; i < kPagesMax; ++i) {
    Query query = {{"run_id", run_id}, {"metric_key", key}, {"max_results", "25000"}};
    if (!page.empty()) query.emplace_back("page_token", page);
    ASSIGN_OR_RETURN(const Json found, Get("metrics/get-history", query, "history of " + key));
    for (const Json& metric : ArrayOf(found, "metrics")) {
      const Json* value = metric.Find("value");
      points.push_back({.key = TextOf(metric, "key"),
                        .value = value != nullptr && value->is_number() ? value->as_double() : 0.0,
                        .timestamp_ms = IntOf(metric, "timestamp"),
                        .step = IntOf(metric, "step")});
    }
    page = TextOf(found, "next_page_token");
    if (page.empty()) return points;
  }
  return Error{ErrorCode::kExhausted, "MLflow: history of " + key + ": too many pages"};
}

base::Status Client::LogInputs(const std::string& run_id,
                               const std::vector<DatasetInput>& datasets) {
  Json::Array inputs;
  for (const DatasetInput& dataset : datasets) {
    if (dataset.name.empty() || dataset.digest.empty()) {
      return Error{ErrorCode::kInvalidArgument, "dataset: a name and a digest are wanted"};
    }
    RETURN_IF_ERROR(CheckText("dataset", dataset.name, kDatasetNameMax));
    RETURN_IF_ERROR(CheckText("digest of a dataset", dataset.digest, kDatasetDigestMax));
    RETURN_IF_ERROR(CheckText("source of a dataset", dataset.source, 65'000));
    RETURN_IF_ERROR(CheckText("profile of a dataset", dataset.profile, 1'000'000));
    Json described = Json::MakeObject({{"name", dataset.name},
                                       {"digest", dataset.digest},
                                       {"source_type", "tinysphere"},
                                       {"source", dataset.source}});
    if (!dataset.profile.empty()) described.Set("profile", dataset.profile);
    inputs.push_back(
        Json::MakeObject({{"tags", ToPairs({{"mlflow.data.context", dataset.context}})},
                          {"dataset", std::move(described)}}));
  }
  RETURN_IF_ERROR(Post("runs/log-inputs",
                       Json::MakeObject({{"run_id", run_id}, {"datasets", std::move(inputs)}}),
                       "inputs of run " + run_id));
  return {};
}

base::Status Client::UpdateRun(const std::string& run_id, const std::string& status,
                               const std::optional<base::Time>& ended_at) {
  RETURN_IF_ERROR(CheckRunStatus(status));
  Json body = Json::MakeObject({{"run_id", run_id}, {"status", status}});
  if (ended_at) body.Set("end_time", Milliseconds(*ended_at));
  ASSIGN_OR_RETURN(const Json updated, Post("runs/update", body, "end run " + run_id));
  // It answers 200 to a status that it did not take.
  const std::string now = TextOf(ObjectOf(updated, "run_info"), "status");
  if (now == status) return {};
  return Error{ErrorCode::kInternal,
               base::StrCat("MLflow: end run ", run_id, ": it is ", now, " and not ", status)};
}

base::Status Client::DeleteRun(const std::string& run_id) {
  RETURN_IF_ERROR(
      Post("runs/delete", Json::MakeObject({{"run_id", run_id}}), "delete run " + run_id));
  return {};
}

base::Result<std::vector<LoggedModelInfo>> Client::FindModels(const std::string& experiment_id,
                                                              const std::string& tag,
                                                              const std::string& value) {
  ASSIGN_OR_RETURN(const std::string filter, TagFilter(tag, value));
  ASSIGN_OR_RETURN(const Json found,
                   Post("logged-models/search",
                        Json::MakeObject({{"experiment_ids", Json::Array{Json(experiment_id)}},
                                          {"filter", filter},
                                          {"max_results", 50}}),
                        "search models"));
  std::vector<LoggedModelInfo> models;
  for (const Json& model : ArrayOf(found, "models")) models.push_back(ToModel(model));
  return models;
}

base::Result<LoggedModelInfo> Client::CreateModel(const std::string& experiment_id,
                                                  const std::string& name,
                                                  const std::string& model_type,
                                                  const std::string& run_id, const Texts& params,
                                                  const Texts& tags) {
  RETURN_IF_ERROR(CheckLoggedModelName(name));
  RETURN_IF_ERROR(CheckPairs("parameter", params, kParamMax));
  RETURN_IF_ERROR(CheckPairs("tag", tags, 5000));
  ASSIGN_OR_RETURN(const Json made, Post("logged-models",
                                         Json::MakeObject({{"experiment_id", experiment_id},
                                                           {"name", name},
                                                           {"model_type", model_type},
                                                           {"source_run_id", run_id},
                                                           {"params", ToPairs(params)},
                                                           {"tags", ToPairs(tags)}}),
                                         "create model " + name));
  LoggedModelInfo model = ToModel(ObjectOf(made, "model"));
  if (model.id.empty()) {
    return Error{ErrorCode::kInternal, "MLflow: create model: no model_id in it"};
  }
  return model;
}

base::Status Client::FinishModel(const std::string& model_id) {
  constexpr std::string_view kReady = "LOGGED_MODEL_READY";
  ASSIGN_OR_RETURN(
      const Json updated,
      Call("PATCH", "logged-models/" + outbound::PercentEncode(model_id), {},
           Json::MakeObject({{"model_id", model_id}, {"status", kReady}}), "finish model"));
  const std::string now = ToModel(ObjectOf(updated, "model")).status;
  if (now == kReady) return {};
  return Error{ErrorCode::kInternal, base::StrCat("MLflow: finish model: it is ", now)};
}

base::Status Client::DeleteModel(const std::string& model_id) {
  RETURN_IF_ERROR(Call("DELETE", "logged-models/" + outbound::PercentEncode(model_id), {},
                       Json::MakeObject({{"model_id", model_id}}), "delete model"));
  return {};
}

base::Status Client::AddOutput(const std::string& run_id, const std::string& model_id) {
  const Json model = Json::MakeObject({{"model_id", model_id}, {"step", 0}});
  RETURN_IF_ERROR(Post("runs/outputs",
                       Json::MakeObject({{"run_id", run_id}, {"models", Json::Array{model}}}),
                       "output of run " + run_id));
  return {};
}

base::Status Client::Put(const std::string& artifact_uri, const std::string& path,
                         outbound::Request request) {
  RETURN_IF_ERROR(CheckArtifactPath(path));
  std::string_view root = artifact_uri;
  if (!root.starts_with(kArtifactScheme)) {
    return Error{ErrorCode::kUnsupported,
                 "MLflow: its artifacts lie at " + artifact_uri.substr(0, 40) +
                     ", where this server has no key; start it with --serve-artifacts and "
                     "--artifacts-destination"};
  }
  root.remove_prefix(kArtifactScheme.size());
  if (root.starts_with("//")) {
    const std::size_t slash = root.find('/', 2);
    root.remove_prefix(slash == std::string_view::npos ? root.size() : slash);
  }
  while (root.starts_with('/')) root.remove_prefix(1);
  request.method = "PUT";
  request.timeout = base::Duration(0);  // By what comes and goes: a bundle may be large.
  request.headers.emplace_back("Content-Type", "application/octet-stream");
  const std::string target =
      base::StrCat(kArtifacts, outbound::PercentEncode(root, /*keeps_slashes=*/true), "/", path);
  const auto answer = Send(request, target, "artifact " + path);
  if (!answer.ok()) return MayPass(answer.error());
  return {};
}

base::Status Client::PutArtifact(const std::string& artifact_uri, const std::string& path,
                                 base::ByteView bytes) {
  outbound::Request request;
  request.body = bytes;
  return Put(artifact_uri, path, request);
}

base::Status Client::PutArtifact(const std::string& artifact_uri, const std::string& path,
                                 const base::ReadableFile& file) {
  outbound::Request request;
  request.file = {.file = &file, .offset = 0, .bytes = file.size()};
  return Put(artifact_uri, path, request);
}

base::Status Client::CreateRegisteredModel(const std::string& name, const std::string& description,
                                           const Texts& tags) {
  RETURN_IF_ERROR(CheckModelName(name));
  RETURN_IF_ERROR(CheckPairs("tag", tags, 5000));
  RETURN_IF_ERROR(Post(
      "registered-models/create",
      Json::MakeObject({{"name", name}, {"description", description}, {"tags", ToPairs(tags)}}),
      "create registered model " + name));
  return {};
}

base::Result<std::vector<VersionInfo>> Client::FindVersions(const std::string& name,
                                                            const std::string& tag,
                                                            const std::string& value) {
  RETURN_IF_ERROR(CheckModelName(name));
  ASSIGN_OR_RETURN(const std::string filter, TagFilter(tag, value));
  ASSIGN_OR_RETURN(const Json found,
                   Get("model-versions/search",
                       {{"filter", base::StrCat("name='", name, "' AND ", filter)},
                        {"max_results", "100"},
                        {"order_by", "version_number ASC"}},
                       "search versions of " + name));
  std::vector<VersionInfo> versions;
  for (const Json& version : ArrayOf(found, "model_versions")) {
    versions.push_back(ToVersion(version));
  }
  return versions;
}

base::Result<VersionInfo> Client::CreateVersion(const std::string& name,
                                                const std::string& model_id,
                                                const std::string& run_id,
                                                const std::string& description, const Texts& tags) {
  RETURN_IF_ERROR(CheckModelName(name));
  RETURN_IF_ERROR(CheckPairs("tag", tags, 5000));
  RETURN_IF_ERROR(CheckText("description", description, 5000));
  ASSIGN_OR_RETURN(const Json made, Post("model-versions/create",
                                         Json::MakeObject({{"name", name},
                                                           {"source", "models:/" + model_id},
                                                           {"run_id", run_id},
                                                           {"model_id", model_id},
                                                           {"description", description},
                                                           {"tags", ToPairs(tags)}}),
                                         "create version of " + name));
  VersionInfo version = ToVersion(ObjectOf(made, "model_version"));
  if (version.version <= 0) {
    return Error{ErrorCode::kInternal, "MLflow: create version: no number in it"};
  }
  return version;
}

base::Status Client::DeleteVersion(const std::string& name, std::int64_t version) {
  RETURN_IF_ERROR(Call("DELETE", "model-versions/delete", {},
                       Json::MakeObject({{"name", name}, {"version", std::to_string(version)}}),
                       base::StrCat("delete version ", version, " of ", name)));
  return {};
}

base::Status Client::SetAlias(const std::string& name, const std::string& alias,
                              std::int64_t version) {
  RETURN_IF_ERROR(CheckModelName(name));
  RETURN_IF_ERROR(CheckAlias(alias));
  RETURN_IF_ERROR(Post(
      "registered-models/alias",
      Json::MakeObject({{"name", name}, {"alias", alias}, {"version", std::to_string(version)}}),
      base::StrCat("alias ", alias, " of ", name)));
  return {};
}

base::Result<std::vector<RegisteredModelInfo>> Client::RegisteredModels() {
  std::vector<RegisteredModelInfo> models;
  std::string page;
  for (int i = 0; i < kPagesMax; ++i) {
    Query query = {{"max_results", "100"}};
    if (!page.empty()) query.emplace_back("page_token", page);
    ASSIGN_OR_RETURN(const Json found,
                     Get("registered-models/search", query, "list registered models"));
    for (const Json& model : ArrayOf(found, "registered_models")) {
      RegisteredModelInfo info{.name = TextOf(model, "name"), .aliases = {}};
      for (const Json& alias : ArrayOf(model, "aliases")) {
        info.aliases[TextOf(alias, "alias")] = IntOf(alias, "version");
      }
      models.push_back(std::move(info));
    }
    page = TextOf(found, "next_page_token");
    if (page.empty()) return models;
  }
  return Error{ErrorCode::kExhausted, "MLflow: list registered models: too many pages"};
}

base::Result<std::vector<VersionInfo>> Client::Versions() {
  std::vector<VersionInfo> versions;
  std::string page;
  for (int i = 0; i < kPagesMax; ++i) {
    Query query = {{"max_results", "1000"}};
    if (!page.empty()) query.emplace_back("page_token", page);
    ASSIGN_OR_RETURN(const Json found, Get("model-versions/search", query, "list versions"));
    for (const Json& version : ArrayOf(found, "model_versions")) {
      versions.push_back(ToVersion(version));
    }
    page = TextOf(found, "next_page_token");
    if (page.empty()) break;
  }
  if (!page.empty()) return Error{ErrorCode::kExhausted, "MLflow: list versions: too many pages"};
  std::sort(versions.begin(), versions.end(), [](const VersionInfo& a, const VersionInfo& b) {
    return std::pair(a.name, a.version) < std::pair(b.name, b.version);
  });
  return versions;
}

base::Result<std::optional<std::string>> Client::VersionFile(const std::string& name,
                                                             std::int64_t version,
                                                             const std::string& path) {
  RETURN_IF_ERROR(CheckArtifactPath(path));
  outbound::Request request;
  request.answer_bytes_max = kFileBytesMax;
  const std::string target =
      base::StrCat("/model-versions/get-artifact?name=", outbound::PercentEncode(name),
                   "&version=", version, "&path=", outbound::PercentEncode(path));
  const auto answer = Send(request, target, base::StrCat(path, " of ", name, " ", version));
  if (answer.ok()) return std::optional(answer->body);
  const ErrorCode code = answer.error().code;
  if (code == ErrorCode::kNotFound || code == ErrorCode::kInvalidArgument)
    return std::optional<std::string>();
  return answer.error();
}

}  // namespace tinysphere::mlflow
