#include "tinysphere/experiment/mlflow_bridge.h"

#include <algorithm>
#include <chrono>
#include <functional>
#include <utility>

#include "base/text.h"
#include "protocol/archive.h"
#include "protocol/bundle.h"
#include "protocol/signed_archive.h"
#include "tinysphere/experiment/backoff.h"
#include "tinysphere/platform/mlflow/model_files.h"
#include "tinysphere/platform/mlflow/names.h"
#include "tinysphere/platform/mlflow/signature.h"

namespace tinysphere::experiment {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

constexpr base::Duration kIdle{1000};
constexpr base::Duration kLookAgain{20'000};
constexpr std::string_view kKeyTag = "tinysphere.key";
constexpr std::string_view kBundleTag = "tinysphere.bundle";
constexpr std::string_view kArchivePath = "bundle.tar.zst";
constexpr std::size_t kBatchBytes = 400'000;  // Of parameters and tags, before JSON's escapes.

// A batch of what goes into one call.
struct Batch {
  std::vector<mlflow::MetricPoint> metrics;
  mlflow::Texts params;
  mlflow::Texts tags;
};

// The same for the same entry, however often it is put together: progress counts them.
std::vector<Batch> ToBatches(const Told& told) {
  std::vector<Batch> batches;
  Batch batch;
  std::size_t bytes = 0;
  const auto cut = [&] {
    if (batch.metrics.empty() && batch.params.empty() && batch.tags.empty()) return;
    batches.push_back(std::exchange(batch, {}));
    bytes = 0;
  };
  const auto add = [&](mlflow::Texts& texts, const std::string& name, std::string value) {
    bytes += value.size() + name.size();
    texts.emplace_back(mlflow::ToName(name), std::move(value));
    if (texts.size() == 100 || bytes > kBatchBytes) cut();
  };
  for (const auto& [name, value] : told.params) {
    add(batch.params, name, mlflow::Shorten(value, mlflow::kParamMax));
  }
  for (const auto& [name, value] : told.tags) {
    add(batch.tags, name, mlflow::Shorten(value, mlflow::kTagMax));
  }
  cut();
  for (const Metric& metric : told.metrics) {
    batch.metrics.push_back({.key = mlflow::ToName(metric.name),
                             .value = metric.value,
                             .timestamp_ms = metric.at.time_since_epoch().count(),
                             .step = metric.step});
    if (batch.metrics.size() == kMetricsABatch) cut();
  }
  cut();
  return batches;
}

std::string StatusFor(const std::string& status) {
  if (status == "finished") return "FINISHED";
  if (status == "failed") return "FAILED";
  if (status == "killed") return "KILLED";
  return "RUNNING";
}

// Keeps one file of a bundle.
class ModelSink final : public protocol::FileSink {
 public:
  base::Status Begin(const protocol::NamedFile& file) override {
    is_model_ = file.role == protocol::kRoleFeatureModel && file.bytes <= kModelBytesMax;
    return {};
  }
  base::Status Append(base::ByteView bytes) override {
    if (is_model_) model_.insert(model_.end(), bytes.begin(), bytes.end());
    return {};
  }
  base::Status End() override { return {}; }

  base::Bytes& model() { return model_; }

 private:
  bool is_model_ = false;
  base::Bytes model_;
};

}  // namespace

// How far an entry has come. Empty it means: look at everything anew.
struct MlflowBridge::Progress {
  std::int64_t batches = 0;  // Sent, and so known.
  bool has_datasets = false;
  std::int64_t artifacts = 0;
  std::string model_id;
  std::string files_of;      // The model that is not ready yet,
  std::int64_t files = 0;    // and how many of its files are there.
  std::int64_t answers = 0;  // 500s.
  // Of what was delivered in doubt, for the look that is taken afterwards.
  std::string run{};
  std::int64_t version = 0;

  std::string Write() const {
    return Json::MakeObject({{"batches", batches},
                             {"has_datasets", has_datasets},
                             {"artifacts", artifacts},
                             {"model_id", model_id},
                             {"files_of", files_of},
                             {"files", files},
                             {"answers", answers},
                             {"run", run},
                             {"version", version}})
        .Write();
  }
  static Progress Read(const Json& json) {
    Progress progress;
    base::JsonReader reader(json, "progress");
    if (!json.is_object()) return progress;
    progress.batches = reader.Int("batches");
    progress.has_datasets = reader.Bool("has_datasets");
    progress.artifacts = reader.Int("artifacts");
    progress.model_id = reader.String("model_id");
    progress.files_of = reader.String("files_of");
    progress.files = reader.Int("files");
    progress.answers = reader.Int("answers");
    progress.run = reader.String("run");
    progress.version = reader.Int("version");
    return reader.status().ok() ? progress : Progress();
  }
};

struct MlflowBridge::Entry {
  std::int64_t entry_id = 0;
  std::string run_id;
  std::int64_t attempts = 0;  // Counting this one.
  Told told;
  Progress progress;
  bool has_failed_here = false;  // In our own stores: MLflow has nothing to do with it.
};

// One entry on its way through the steps.
class MlflowBridge::Errand {
 public:
  Errand(MlflowBridge& bridge, Entry& entry)
      : bridge_(bridge), client_(bridge.client_), entry_(entry), told_(entry.told) {}

  base::Status Run() {
    RETURN_IF_ERROR(FindExperiment());
    RETURN_IF_ERROR(FindRun());
    RETURN_IF_ERROR(SendBatches());
    RETURN_IF_ERROR(SendDatasets());
    RETURN_IF_ERROR(SendArtifacts());
    if (!told_.registers.empty()) {
      RETURN_IF_ERROR(FindModel());
      RETURN_IF_ERROR(FindVersion());
      for (const std::string& alias : told_.aliases) {
        RETURN_IF_ERROR(client_.SetAlias(told_.registers, alias, version_));
      }
    }
    const std::string status = StatusFor(told_.status);
    if (status != "RUNNING") {
      RETURN_IF_ERROR(client_.UpdateRun(run_.id, status, told_.ended_at));
    }
    RETURN_IF_ERROR(RemoveDoubles());
    // A call of a process that was killed may be done after all that: looked at once more.
    Progress left;
    left.run = run_.id;
    left.model_id = model_id_;
    left.version = version_;
    const base::Time now = bridge_.clock_.Now();
    if (is_in_doubt()) bridge_.may_have_doubles_ = true;
    RETURN_IF_ERROR(Here(bridge_.database_.Execute(
        "UPDATE outbox SET state = 'sent', sent_at = $2, error = '', progress = $3, due_at = $4 "
        "WHERE entry_id = $1 AND state = 'waiting'",
        {entry_.entry_id, now, is_in_doubt() ? left.Write() : std::string(), now + kLookAgain})));
    return {};
  }

  // What was delivered in doubt, some time afterwards.
  base::Status LookAgain() {
    RETURN_IF_ERROR(FindExperiment());
    run_.id = entry_.progress.run;
    model_id_ = entry_.progress.model_id;
    version_ = entry_.progress.version;
    is_found_ = true;
    return RemoveDoubles();
  }

 private:
  // What was made before and never answered may have been made all the same, and may even be done
  // only now. Attempts outlive a killed process and a retry by hand.
  bool is_in_doubt() const { return entry_.attempts > 1 || is_found_; }

  // What came of a call to our own stores. A fault of theirs is no answer of MLflow's: what is gone
  // or damaged here stays so, anything else may pass.
  template <typename T>
  base::Result<T> Here(base::Result<T> result) {
    if (result.ok()) return result;
    entry_.has_failed_here = true;
    Error error = result.error().Within("here");
    const bool stays = error.code == ErrorCode::kNotFound || error.code == ErrorCode::kCorrupt ||
                       error.code == ErrorCode::kUnsupported ||
                       error.code == ErrorCode::kInvalidArgument;
    error.code = stays ? ErrorCode::kInvalidArgument : ErrorCode::kUnavailable;
    return error;
  }

  base::Status Keep() {
    RETURN_IF_ERROR(
        Here(bridge_.database_.Execute("UPDATE outbox SET progress = $2 WHERE entry_id = $1",
                                       {entry_.entry_id, entry_.progress.Write()})));
    return {};
  }

  base::Status FindExperiment() {
    ASSIGN_OR_RETURN(auto found, client_.FindExperiment(told_.experiment));
    if (!found) {
      const std::size_t slash = told_.experiment.rfind('/');
      const auto made = client_.CreateExperiment(
          told_.experiment, {{"tinysphere.subject", told_.experiment.substr(slash + 1)}});
      // Somebody was faster, or it is ours of an answer that got lost.
      if (!made.ok() && made.error().code != ErrorCode::kConflict) return made.error();
      ASSIGN_OR_RETURN(found, client_.FindExperiment(told_.experiment));
      if (!found) return Error{ErrorCode::kInternal, "MLflow: the experiment made is not there"};
    }
    if (found->is_deleted) RETURN_IF_ERROR(client_.RestoreExperiment(found->id));
    experiment_id_ = found->id;
    RETURN_IF_ERROR(Here(bridge_.database_.Execute(
        "UPDATE experiments SET mlflow_id = $2 WHERE name = $1 AND mlflow_id <> $2",
        {told_.experiment, experiment_id_})));
    return {};
  }

  base::Status FindRun() {
    ASSIGN_OR_RETURN(const auto known,
                     Here(bridge_.database_.QueryOne(
                         "SELECT r.mlflow_id, p.mlflow_id AS parent FROM runs r LEFT JOIN runs p "
                         "ON p.run_id = r.parent_run_id WHERE r.run_id = $1",
                         {entry_.run_id})));
    if (known && !known->Text("mlflow_id").empty()) {
      ASSIGN_OR_RETURN(run_, client_.GetRun(known->Text("mlflow_id")));
    } else {
      ASSIGN_OR_RETURN(const auto found,
                       client_.FindRuns(experiment_id_, std::string(kKeyTag), entry_.run_id));
      if (!found.empty()) {
        // A double that was taken away may come before it.
        const auto alive = std::find_if(found.begin(), found.end(),
                                        [](const auto& run) { return !run.is_deleted; });
        run_ = alive == found.end() ? found.front() : *alive;
        is_found_ = true;  // Nobody here knows what arrived of it.
      } else {
        RETURN_IF_ERROR(MakeRun(known ? known->Text("parent") : ""));
      }
    }
    if (run_.is_deleted) {
      return Error{ErrorCode::kInvalidArgument,
                   "MLflow: the run " + run_.id + " was deleted there"};
    }
    RETURN_IF_ERROR(Here(bridge_.database_.Execute(
        "UPDATE runs SET mlflow_id = $2 WHERE run_id = $1 AND mlflow_id <> $2",
        {entry_.run_id, run_.id})));
    return {};
  }

  base::Status MakeRun(const std::string& parent) {
    mlflow::Texts tags = {{std::string(kKeyTag), entry_.run_id},
                          {"tinysphere.kind", told_.kind},
                          {"mlflow.user", "tinysphere"},
                          {"mlflow.source.name", "tinysphere"},
                          {"mlflow.source.type", "PROJECT"}};
    if (!parent.empty()) tags.emplace_back("mlflow.parentRunId", parent);
    ASSIGN_OR_RETURN(run_, client_.CreateRun(experiment_id_, mlflow::Shorten(told_.name, 250),
                                             told_.started_at, tags));
    return {};
  }

  base::Status SendBatches() {
    const std::vector<Batch> batches = ToBatches(told_);
    for (std::size_t i = static_cast<std::size_t>(entry_.progress.batches); i < batches.size();
         ++i) {
      Batch batch = batches[i];
      if (is_in_doubt()) RETURN_IF_ERROR(LeaveOutWhatArrived(batch));
      if (!batch.metrics.empty() || !batch.params.empty() || !batch.tags.empty()) {
        RETURN_IF_ERROR(client_.LogBatch(run_.id, batch.metrics, batch.params, batch.tags));
      }
      entry_.progress.batches = static_cast<std::int64_t>(i) + 1;
      RETURN_IF_ERROR(Keep());
    }
    return {};
  }

  // Half a batch may be there. Parameters and tags may be said again; a metric would be doubled.
  base::Status LeaveOutWhatArrived(Batch& batch) {
    std::map<std::string, std::vector<mlflow::MetricPoint>> there;
    for (const mlflow::MetricPoint& point : batch.metrics) {
      if (there.contains(point.key)) continue;
      ASSIGN_OR_RETURN(there[point.key], client_.MetricHistory(run_.id, point.key));
    }
    std::erase_if(batch.metrics, [&](const mlflow::MetricPoint& point) {
      const auto& points = there[point.key];
      return std::any_of(points.begin(), points.end(), [&](const mlflow::MetricPoint& other) {
        return other.step == point.step && other.timestamp_ms == point.timestamp_ms;
      });
    });
    // A parameter that stands keeps its value; to say another is refused, and the whole batch too.
    std::erase_if(batch.params,
                  [&](const auto& param) { return run_.params.contains(param.first); });
    return {};
  }

  base::Status SendDatasets() {
    if (told_.datasets.empty() || entry_.progress.has_datasets) return {};
    std::vector<mlflow::DatasetInput> inputs;
    for (const Dataset& dataset : told_.datasets) {
      inputs.push_back(
          {.name = mlflow::Shorten(dataset.name, mlflow::kDatasetNameMax),
           .digest = dataset.digest.substr(0, mlflow::kDatasetDigestMax),
           .source = Json::MakeObject({{"sha256", dataset.digest},
                                       {"source", mlflow::Shorten(dataset.source, 2000)}})
                         .Write(),
           .profile = dataset.profile,
           .context = dataset.context});
    }
    RETURN_IF_ERROR(client_.LogInputs(run_.id, inputs));
    entry_.progress.has_datasets = true;
    return Keep();
  }

  base::Status SendArtifacts() {
    const auto& artifacts = told_.artifacts;
    for (std::size_t i = static_cast<std::size_t>(entry_.progress.artifacts); i < artifacts.size();
         ++i) {
      ASSIGN_OR_RETURN(const auto file, Here(bridge_.objects_.Get(artifacts[i].object_key)));
      RETURN_IF_ERROR(client_.PutArtifact(run_.artifact_uri, artifacts[i].path, *file));
      entry_.progress.artifacts = static_cast<std::int64_t>(i) + 1;
      RETURN_IF_ERROR(Keep());
    }
    return {};
  }

  base::Status FindModel() {
    if (!entry_.progress.model_id.empty()) {
      model_id_ = entry_.progress.model_id;
      return {};
    }
    ASSIGN_OR_RETURN(auto found,
                     client_.FindModels(experiment_id_, std::string(kBundleTag), told_.bundle));
    std::stable_sort(found.begin(), found.end(), [](const auto& a, const auto& b) {
      return (a.status == "LOGGED_MODEL_READY") > (b.status == "LOGGED_MODEL_READY");
    });
    ASSIGN_OR_RETURN(
        const auto bundle,
        Here(bridge_.database_.QueryOne(
            "SELECT manifest, object_key, bytes FROM bundles WHERE bundle = $1", {told_.bundle})));
    if (!bundle) {
      return Error{ErrorCode::kInvalidArgument, "the bundle " + told_.bundle + " is not here"};
    }
    ASSIGN_OR_RETURN(const protocol::BundleManifest manifest,
                     Here(protocol::ParseBundleManifest(base::AsBytes(bundle->Text("manifest")))));
    mlflow::LoggedModelInfo model;
    if (!found.empty()) {
      model = found.front();
    } else {
      ASSIGN_OR_RETURN(
          model,
          client_.CreateModel(
              experiment_id_, mlflow::ToLoggedModelName(manifest.name + "-" + manifest.version),
              KindOf(manifest), run_.id, {{"version", manifest.version}},
              {{std::string(kBundleTag), told_.bundle}, {std::string(kKeyTag), entry_.run_id}}));
    }
    if (model.status != "LOGGED_MODEL_READY") {
      RETURN_IF_ERROR(SendModelFiles(model, manifest, *bundle));
      RETURN_IF_ERROR(client_.FinishModel(model.id));
    }
    if (found.empty() || is_in_doubt()) {
      ASSIGN_OR_RETURN(run_, client_.GetRun(run_.id));
      if (std::find(run_.models.begin(), run_.models.end(), model.id) == run_.models.end()) {
        RETURN_IF_ERROR(client_.AddOutput(run_.id, model.id));
      }
    }
    model_id_ = entry_.progress.model_id = model.id;
    return Keep();
  }

  static std::string KindOf(const protocol::BundleManifest& manifest) {
    const auto* model = manifest.FileWithRole(protocol::kRoleFeatureModel);
    if (model == nullptr) return "tinylcm_bundle";
    return model->path.ends_with(".onnx") ? "onnx" : "tflite";
  }

  base::Status SendModelFiles(const mlflow::LoggedModelInfo& model,
                              const protocol::BundleManifest& manifest, const Row& bundle) {
    ASSIGN_OR_RETURN(const auto file, Here(bridge_.objects_.Get(bundle.Text("object_key"))));
    mlflow::ModelFacts facts{.bundle = told_.bundle,
                             .name = manifest.name,
                             .version = manifest.version,
                             .model_family = manifest.model_family,
                             .labels = manifest.labels,
                             .archive_path = std::string(kArchivePath),
                             .archive_bytes = file->size(),
                             .model_path = "",
                             .model_sha256 = "",
                             .signature = {},
                             .artifact_uri = model.artifact_uri,
                             .run_id = run_.id,
                             .model_id = model.id,
                             .mlflow_version = bridge_.version_,
                             .created_at = told_.started_at};
    base::Bytes bytes;
    const auto* named = manifest.FileWithRole(protocol::kRoleFeatureModel);
    if (named != nullptr && named->bytes <= kModelBytesMax) {
      protocol::FileSource source(*file);
      ASSIGN_OR_RETURN(auto archive,
                       Here(protocol::SignedArchiveReader::Open(source, protocol::kBundleLimits)));
      ModelSink sink;
      RETURN_IF_ERROR(Here(archive.ReadFiles(manifest.files, sink)));
      const bool is_onnx = named->path.ends_with(".onnx");
      const auto signature = is_onnx ? mlflow::ReadOnnxSignature(sink.model())
                                     : mlflow::ReadTfliteSignature(sink.model());
      // A model whose shapes cannot be told is registered with its bundle all the same.
      if (signature.ok()) {
        facts.model_path = is_onnx ? "model.onnx" : "model.tflite";
        facts.model_sha256 = named->sha256;
        facts.signature = *signature;
        bytes = std::move(sink.model());
      } else {
        bridge_.logger_.Warning(base::StrCat("MLflow: ", manifest.name, " ", manifest.version, ": ",
                                             signature.error().message,
                                             "; registered without a flavour that loads it"));
      }
    }
    const auto texts = mlflow::MakeModelFiles(facts);
    std::vector<std::function<base::Status()>> puts;
    puts.emplace_back(
        [&] { return client_.PutArtifact(model.artifact_uri, std::string(kArchivePath), *file); });
    if (!facts.model_path.empty()) {
      puts.emplace_back(
          [&] { return client_.PutArtifact(model.artifact_uri, facts.model_path, bytes); });
    }
    for (const mlflow::TextFile& text : texts) {
      puts.emplace_back([&] {
        return client_.PutArtifact(model.artifact_uri, text.path, base::AsBytes(text.text));
      });
    }
    if (entry_.progress.files_of != model.id) {
      entry_.progress.files_of = model.id;
      entry_.progress.files = 0;
    }
    for (auto i = static_cast<std::size_t>(entry_.progress.files); i < puts.size(); ++i) {
      RETURN_IF_ERROR(puts[i]());
      entry_.progress.files = static_cast<std::int64_t>(i) + 1;
      RETURN_IF_ERROR(Keep());
    }
    return {};
  }

  base::Status FindVersion() {
    const std::string& name = told_.registers;
    const base::Status made_model = client_.CreateRegisteredModel(
        name, "Registered by TinySphere.", {{"tinysphere.family", told_.experiment}});
    if (!made_model.ok() && made_model.error().code != ErrorCode::kConflict) return made_model;
    ASSIGN_OR_RETURN(auto found, client_.FindVersions(name, std::string(kBundleTag), told_.bundle));
    if (!found.empty()) {
      version_ = found.front().version;
    } else {
      ASSIGN_OR_RETURN(const auto made, client_.CreateVersion(
                                            name, model_id_, run_.id,
                                            "Bundle " + told_.bundle + ", signed by its publisher.",
                                            {{std::string(kBundleTag), told_.bundle}}));
      version_ = made.version;
    }
    return {};
  }

  // A call whose answer got lost may have been done after we looked whether it was.
  base::Status RemoveDoubles() {
    if (!is_in_doubt()) return {};
    ASSIGN_OR_RETURN(const auto runs,
                     client_.FindRuns(experiment_id_, std::string(kKeyTag), entry_.run_id));
    for (const mlflow::RunInfo& run : runs) {
      if (run.id != run_.id && !run.is_deleted) RETURN_IF_ERROR(client_.DeleteRun(run.id));
    }
    if (told_.registers.empty()) return {};
    ASSIGN_OR_RETURN(const auto versions,
                     client_.FindVersions(told_.registers, std::string(kBundleTag), told_.bundle));
    for (const mlflow::VersionInfo& version : versions) {
      if (version.version != version_) {
        RETURN_IF_ERROR(client_.DeleteVersion(told_.registers, version.version));
      }
    }
    ASSIGN_OR_RETURN(const auto models,
                     client_.FindModels(experiment_id_, std::string(kBundleTag), told_.bundle));
    for (const mlflow::LoggedModelInfo& model : models) {
      if (model.id != model_id_) RETURN_IF_ERROR(client_.DeleteModel(model.id));
    }
    return {};
  }

  MlflowBridge& bridge_;
  mlflow::Client& client_;
  Entry& entry_;
  const Told& told_;
  std::string experiment_id_;
  mlflow::RunInfo run_;
  bool is_found_ = false;  // By its tag, and not by what we know.
  std::string model_id_;
  std::int64_t version_ = 0;
};

MlflowBridge::MlflowBridge(store::Database& database, store::ObjectStore& objects,
                           base::Clock& clock, base::Logger& logger, outbound::HttpClient& http,
                           mlflow::Client client, MlflowMirror& mirror, BridgeOptions options,
                           telemetry::Telemetry& telemetry)
    : database_(database),
      objects_(objects),
      clock_(clock),
      logger_(logger),
      http_(http),
      client_(std::move(client)),
      mirror_(mirror),
      options_(options),
      random_(options.seed),
      sent_(telemetry.MakeCounter("tinysphere_mlflow_entries_total",
                                  "Outbox entries by what became of them.", {{"outcome", "sent"}})),
      retried_(telemetry.MakeCounter("tinysphere_mlflow_entries_total",
                                     "Outbox entries by what became of them.",
                                     {{"outcome", "retried"}})),
      set_aside_(telemetry.MakeCounter("tinysphere_mlflow_entries_total",
                                       "Outbox entries by what became of them.",
                                       {{"outcome", "set_aside"}})) {}

void MlflowBridge::Start() {
  thread_ = std::thread([this] { Loop(); });
}

void MlflowBridge::Wake() {
  {
    const std::lock_guard lock(mutex_);
    is_woken_ = true;
  }
  changed_.notify_one();
}

void MlflowBridge::Stop() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  http_.Stop();
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void MlflowBridge::Loop() {
  while (true) {
    {
      const std::lock_guard lock(mutex_);
      if (is_stopping_) return;
      is_woken_ = false;
    }
    const base::Duration wait = Step();
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, wait, [this] { return is_woken_ || is_stopping_; });
  }
}

base::Duration MlflowBridge::Step() {
  const base::Duration up = clock_.Uptime();
  if (version_.empty()) {
    auto version = client_.Version();
    if (!version.ok()) return Pause(version.error());
    version_ = std::move(version).value();
    Reached();
  }
  if (up >= look_at_) {
    look_at_ = up + options_.look_every;
    const base::Status looked = mirror_.Look(client_, clock_.Now());
    if (!looked.ok()) return Pause(looked.error());
    Reached();
  }
  auto next = Next(clock_.Now());
  if (!next.ok()) {
    logger_.Error("MLflow: outbox: " + next.error().message);
    return kIdle;
  }
  if (!next->has_value()) return LookAgain(clock_.Now());
  Entry& entry = **next;
  const base::Status delivered = Errand(*this, entry).Run();
  if (delivered.ok()) {
    sent_.Add();
    Reached();
    return base::Duration(0);
  }
  const Error& error = delivered.error();
  const base::Status kept = Failed(entry, error);
  if (!kept.ok()) logger_.Error("MLflow: outbox: " + kept.error().message);
  if (entry.has_failed_here) return kept.ok() ? base::Duration(0) : kIdle;
  const bool is_gone =
      error.code == ErrorCode::kUnavailable || error.code == ErrorCode::kPermissionDenied;
  return is_gone ? Pause(error) : base::Duration(0);
}

// Nothing waits: what was delivered in doubt is looked at once more, in its time.
base::Duration MlflowBridge::LookAgain(base::Time now) {
  if (!may_have_doubles_) return kIdle;
  const auto row = database_.QueryOne(
      "SELECT entry_id, run_id, document, progress, due_at FROM outbox WHERE state = 'sent' AND "
      "progress <> '' ORDER BY due_at LIMIT 1");
  if (!row.ok()) return kIdle;
  if (!row->has_value()) {
    may_have_doubles_ = false;
    return kIdle;
  }
  if ((*row)->Time("due_at") > now) return kIdle;
  Entry entry{.entry_id = (*row)->Int("entry_id"),
              .run_id = (*row)->Text("run_id"),
              .attempts = 2,
              .told = {},
              .progress = Progress::Read((*row)->Document("progress"))};
  auto told = ParseTold((*row)->Text("document"));
  base::Status looked;
  if (told.ok() && !entry.progress.run.empty()) {
    entry.told = std::move(told).value();
    looked = Errand(*this, entry).LookAgain();
  }
  if (!looked.ok() && looked.error().code == ErrorCode::kUnavailable) return Pause(looked.error());
  if (!looked.ok()) {
    logger_.Warning(base::StrCat("MLflow: looking for doubles of ", entry.run_id, ": ",
                                 looked.error().message));
  }
  const auto done = database_.Execute(
      "UPDATE outbox SET progress = '' WHERE entry_id = $1 AND state = 'sent'", {entry.entry_id});
  return done.ok() ? base::Duration(0) : kIdle;
}

// The first that waits in its experiment, if its pause is over.
base::Result<std::optional<MlflowBridge::Entry>> MlflowBridge::Next(base::Time now) {
  constexpr std::string_view kFirst =
      "SELECT o.entry_id, o.run_id, o.document, o.progress, o.attempts FROM experiments x "
      "JOIN outbox o ON o.entry_id = (SELECT MIN(w.entry_id) FROM outbox w WHERE "
      "w.experiment = x.name AND w.state = 'waiting') WHERE o.due_at <= $1 "
      "ORDER BY o.entry_id LIMIT 1";
  ASSIGN_OR_RETURN(const auto row, database_.QueryOne(kFirst, {now}));
  if (!row) return std::optional<Entry>();
  Entry entry{.entry_id = row->Int("entry_id"),
              .run_id = row->Text("run_id"),
              .attempts = row->Int("attempts") + 1,
              .told = {},
              .progress = Progress::Read(row->Document("progress"))};
  // Counted before anything is sent: a process that is killed in the middle is a doubt, too.
  RETURN_IF_ERROR(database_.Execute("UPDATE outbox SET attempts = $2 WHERE entry_id = $1",
                                    {entry.entry_id, entry.attempts}));
  auto told = ParseTold(row->Text("document"));
  if (!told.ok()) {
    RETURN_IF_ERROR(Failed(entry, {ErrorCode::kInvalidArgument, told.error().message}));
    return std::optional<Entry>();
  }
  entry.told = std::move(told).value();
  return std::optional<Entry>(std::move(entry));
}

base::Status MlflowBridge::Failed(Entry& entry, const Error& error) {
  const base::Time now = clock_.Now();
  const bool is_answered = error.code == ErrorCode::kInternal ||
                           error.code == ErrorCode::kNotFound ||
                           error.code == ErrorCode::kExhausted;
  if (is_answered) {
    // Something may not be there any more that was; everything is looked at anew.
    Progress anew;
    anew.answers = entry.progress.answers + 1;
    entry.progress = std::move(anew);
  }
  const bool is_temporary = is_answered || error.code == ErrorCode::kUnavailable ||
                            error.code == ErrorCode::kPermissionDenied;
  if (!is_temporary || entry.progress.answers >= kAnswersMax) {
    set_aside_.Add();
    logger_.Warning(base::StrCat("MLflow: ", entry.told.key, " is set aside: ", error.message));
    RETURN_IF_ERROR(
        database_.Execute("UPDATE outbox SET state = 'set_aside', error = $2 WHERE entry_id = $1",
                          {entry.entry_id, error.message}));
    return {};
  }
  retried_.Add();
  base::Time due = now;  // When MLflow is back; but what failed by itself pauses by itself.
  if (is_answered) due += BackoffAfter(static_cast<int>(entry.progress.answers), random_);
  if (entry.has_failed_here) {
    logger_.Warning(base::StrCat("MLflow: ", entry.told.key, ": ", error.message));
    due += BackoffAfter(static_cast<int>(std::min<std::int64_t>(entry.attempts, 20)), random_);
  }
  return database_.Write([&](Transaction& transaction) -> base::Status {
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE outbox SET error = $2, due_at = $3, progress = $4 WHERE entry_id = $1",
        {entry.entry_id, error.message, due, entry.progress.Write()}));
    if (error.code != ErrorCode::kNotFound) return {};
    // MLflow lost what it had: this run's earlier entries go once more, and before this one.
    RETURN_IF_ERROR(
        transaction.Execute("UPDATE runs SET mlflow_id = '' WHERE run_id = $1", {entry.run_id}));
    RETURN_IF_ERROR(transaction.Execute(
        "UPDATE outbox SET state = 'waiting', progress = '' WHERE run_id = $1 AND state = 'sent'",
        {entry.run_id}));
    return {};
  });
}

base::Duration MlflowBridge::Pause(const Error& error) {
  failures_ += 1;
  const base::Duration pause = BackoffAfter(failures_, random_);
  const base::Time now = clock_.Now();
  version_.clear();  // Asked first when it is tried again; it may be another one by then.
  bool is_news = false;
  {
    const std::lock_guard lock(mutex_);
    is_news = seen_.is_reachable != std::optional(false) || seen_.error != error.message;
    seen_.is_reachable = false;
    seen_.error = error.message;
    seen_.failed_at = now;
    seen_.next_try_at = now + pause;
  }
  // Once, not every five minutes of a night.
  if (is_news) logger_.Warning(error.message + "; what waits is sent later");
  return pause;
}

void MlflowBridge::Reached() {
  failures_ = 0;
  bool is_news = false;
  {
    const std::lock_guard lock(mutex_);
    is_news = seen_.is_reachable != std::optional(true);
    seen_.is_reachable = true;
    seen_.version = version_;
  }
  if (is_news) logger_.Info("MLflow " + version_ + " answers");
}

Json MlflowBridge::StateJson() const {
  const std::lock_guard lock(mutex_);
  const bool has_failed = !seen_.error.empty();
  const bool waits = seen_.is_reachable == std::optional(false);
  return Json::MakeObject(
      {{"is_reachable", seen_.is_reachable ? Json(*seen_.is_reachable) : Json()},
       {"version", seen_.version.empty() ? Json() : Json(seen_.version)},
       {"last_error", has_failed ? Json(seen_.error) : Json()},
       {"failed_at", has_failed ? Json(base::FormatTime(seen_.failed_at)) : Json()},
       {"next_try_at", waits ? Json(base::FormatTime(seen_.next_try_at)) : Json()}});
}

}  // namespace tinysphere::experiment
