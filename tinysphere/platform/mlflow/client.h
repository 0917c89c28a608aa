// Client: MLflow's REST interface as calls, of an MLflow 3 server.
//
// Picture a clerk at a counter who reads every form before handing it over, for the other side
// stamps anything: what MLflow would damage in silence is refused here (names.h). The clerk never
// tries twice; what to do about a form that got lost is MlflowBridge's business.
//
// Each call goes over a connection of its own: MLflow closes idle ones after 5 s, and a call that
// must not happen twice must not meet one of those. 20 to 70 calls a second is what it answers.
//
// Errors: kUnavailable   no answer, or "not now" (429, 502, 503, 504): what was done is unknown
//         kInternal      500: what was done is unknown, and the same may come again
//         kInvalidArgument  refused, here or there; the same will be refused again
//         kNotFound, kConflict  RESOURCE_DOES_NOT_EXIST, RESOURCE_ALREADY_EXISTS
//         kPermissionDenied  user, password, token or Host
//         kUnsupported   no such call: not an MLflow 3
//
// Source: mlflow.org/docs/latest/api_reference/rest-api.html, and data/mlflow_contract.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/outbound/http_client.h"

namespace tinysphere::mlflow {

struct ClientOptions {
  std::string url;         // "http://127.0.0.1:5000", with a path where the server has a prefix.
  std::string username{};  // Basic; or `token`, as a bearer.
  std::string password{};
  std::string token{};
  std::string workspace{};  // "" for the server's own.
  base::Duration timeout{60'000};
};

struct ExperimentInfo {
  std::string id;
  bool is_deleted = false;
};

struct RunInfo {
  std::string id;
  std::string artifact_uri;
  std::string status;
  bool is_deleted = false;
  std::map<std::string, std::string> params;
  std::map<std::string, std::string> tags;
  std::vector<std::string> models;  // Its outputs.
};

struct MetricPoint {
  std::string key;
  double value = 0.0;
  std::int64_t timestamp_ms = 0;
  std::int64_t step = 0;

  friend bool operator==(const MetricPoint&, const MetricPoint&) = default;
};

using Texts = std::vector<std::pair<std::string, std::string>>;

struct DatasetInput {
  std::string name;
  std::string digest;  // At most 36 characters.
  std::string source;  // JSON.
  std::string profile;
  std::string context;
};

struct LoggedModelInfo {
  std::string id;
  std::string artifact_uri;
  std::string status;
};

struct VersionInfo {
  std::string name;
  std::int64_t version = 0;
  std::string source;
  std::string run_id;
  std::string description;
  std::int64_t created_ms = 0;
  std::map<std::string, std::string> tags;
};

struct RegisteredModelInfo {
  std::string name;
  std::map<std::string, std::int64_t> aliases;  // Alias to version.
};

// May be used from several threads.
class Client {
 public:
  // `http` must outlive it. kInvalidArgument for an address that is none.
  static base::Result<Client> Create(outbound::HttpClient& http, ClientOptions options);

  base::Result<std::string> Version();

  base::Result<std::optional<ExperimentInfo>> FindExperiment(const std::string& name);
  base::Result<std::string> CreateExperiment(const std::string& name, const Texts& tags);
  base::Status RestoreExperiment(const std::string& id);

  // Those whose tag has this value, deleted ones too, oldest first.
  base::Result<std::vector<RunInfo>> FindRuns(const std::string& experiment_id,
                                              const std::string& tag, const std::string& value);
  base::Result<RunInfo> CreateRun(const std::string& experiment_id, const std::string& name,
                                  base::Time started_at, const Texts& tags);
  base::Result<RunInfo> GetRun(const std::string& run_id);
  // At most 1000 in all, 100 parameters, 100 tags, 1 MB. Not atomic: some of it may be stored when
  // the answer is an error or none.
  base::Status LogBatch(const std::string& run_id, const std::vector<MetricPoint>& metrics,
                        const Texts& params, const Texts& tags);
  base::Result<std::vector<MetricPoint>> MetricHistory(const std::string& run_id,
                                                       const std::string& key);
  base::Status LogInputs(const std::string& run_id, const std::vector<DatasetInput>& datasets);
  base::Status UpdateRun(const std::string& run_id, const std::string& status,
                         const std::optional<base::Time>& ended_at);
  base::Status DeleteRun(const std::string& run_id);

  base::Result<std::vector<LoggedModelInfo>> FindModels(const std::string& experiment_id,
                                                        const std::string& tag,
                                                        const std::string& value);
  base::Result<LoggedModelInfo> CreateModel(const std::string& experiment_id,
                                            const std::string& name, const std::string& model_type,
                                            const std::string& run_id, const Texts& params,
                                            const Texts& tags);
  base::Status FinishModel(const std::string& model_id);
  base::Status DeleteModel(const std::string& model_id);
  // Once a run and model: again is refused (with SQL in the answer). RunInfo::models tells.
  base::Status AddOutput(const std::string& run_id, const std::string& model_id);

  // Replaces what is there. `artifact_uri` as a run or model has it.
  base::Status PutArtifact(const std::string& artifact_uri, const std::string& path,
                           base::ByteView bytes);
  base::Status PutArtifact(const std::string& artifact_uri, const std::string& path,
                           const base::ReadableFile& file);

  base::Status CreateRegisteredModel(const std::string& name, const std::string& description,
                                     const Texts& tags);
  base::Result<std::vector<VersionInfo>> FindVersions(const std::string& name,
                                                      const std::string& tag,
                                                      const std::string& value);
  base::Result<VersionInfo> CreateVersion(const std::string& name, const std::string& model_id,
                                          const std::string& run_id, const std::string& description,
                                          const Texts& tags);
  base::Status DeleteVersion(const std::string& name, std::int64_t version);
  base::Status SetAlias(const std::string& name, const std::string& alias, std::int64_t version);

  base::Result<std::vector<RegisteredModelInfo>> RegisteredModels();
  // Of all registered models, by name and number.
  base::Result<std::vector<VersionInfo>> Versions();
  // A small text file of a version; nullopt where there is none. kInternal, kUnsupported: it cannot
  // be told whether there is one (MLflow answers 500 to a missing file, and to a store of its own
  // that is away).
  base::Result<std::optional<std::string>> VersionFile(const std::string& name,
                                                       std::int64_t version,
                                                       const std::string& path);

 private:
  using Query = std::vector<std::pair<std::string, std::string>>;

  Client(outbound::HttpClient& http, ClientOptions options)
      : http_(&http), options_(std::move(options)) {}

  base::Result<outbound::Answer> Send(outbound::Request request, const std::string& path,
                                      const std::string& what);
  base::Result<base::Json> Call(const char* method, const std::string& path, const Query& query,
                                const base::Json& body, const std::string& what);
  base::Result<base::Json> Get(const std::string& path, const Query& query,
                               const std::string& what);
  base::Result<base::Json> Post(const std::string& path, const base::Json& body,
                                const std::string& what);
  base::Status Put(const std::string& artifact_uri, const std::string& path,
                   outbound::Request request);

  outbound::HttpClient* http_;
  ClientOptions options_;
};

}  // namespace tinysphere::mlflow
