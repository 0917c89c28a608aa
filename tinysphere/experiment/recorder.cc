#include "tinysphere/experiment/recorder.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "protocol/bundle.h"

namespace tinysphere::experiment {

using base::Error;
using base::ErrorCode;
using base::Json;
using store::Row;
using store::Rows;
using store::Transaction;

namespace {

constexpr std::string_view kNoFamily = "unknown";  // What a device ran before anybody knew it.

// What devices say may hold anything that JSON holds; a line of a journal holds no control bytes.
std::string Clean(std::string text) {
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return text;
}

void AddMetric(Told& told, std::string name, const std::optional<double>& value, base::Time at,
               std::int64_t step = 0) {
  if (!value || !std::isfinite(*value)) return;
  told.metrics.push_back({.name = std::move(name), .value = *value, .step = step, .at = at});
}

template <typename T>
void AddCount(Told& told, std::string name, T count, base::Time at, std::int64_t step = 0) {
  AddMetric(told, std::move(name), static_cast<double>(count), at, step);
}

void AddText(std::map<std::string, std::string>& texts, const std::string& name,
             const std::optional<std::string>& value) {
  if (value && !value->empty()) texts[name] = Clean(*value);
}

std::string Joined(const std::vector<std::string>& parts) {
  std::string joined;
  for (const std::string& part : parts) joined += (joined.empty() ? "" : ", ") + part;
  return joined;
}

std::optional<double> Share(const std::optional<std::int64_t>& part, std::int64_t whole) {
  if (!part || whole <= 0) return std::nullopt;
  return static_cast<double>(*part) / static_cast<double>(whole);
}

// 1 where it stood, 0 where it was undone or nothing helped, nothing while nobody can know.
std::optional<double> SuccessOf(const protocol::AdaptationReport& report) {
  if (report.state == "rolled_back" || report.state == "escalated") return 0.0;
  const bool serves = report.hypothesis.has_value() || report.challenger.has_value();
  if (report.state == "stable" && serves) return 1.0;
  return std::nullopt;
}

std::optional<double> SuccessOf(const protocol::Judgement& judgement) {
  switch (judgement.judgement) {
    case protocol::JudgementKind::kHelped:
    case protocol::JudgementKind::kHarmless:
      return 1.0;
    case protocol::JudgementKind::kHarmful:
      return 0.0;
    case protocol::JudgementKind::kUnknown:
      break;
  }
  return std::nullopt;
}

std::string StatusOfRollout(const std::string& state) {
  if (state == "done") return "finished";
  if (state == "halted") return "killed";
  if (state == "rolled_back") return "failed";
  return "running";
}

void AddInput(Told& told, const protocol::BundleInput& input) {
  auto& params = told.params;
  if (input.kind == protocol::BundleInput::Kind::kImage) {
    params["input"] = base::StrCat(input.width, "x", input.height, " ", input.channels);
    params["input.resize"] = input.resize;
    params["input.scale"] = input.scale;
    return;
  }
  params["input"] = base::StrCat(input.channel_count, " channels");
  if (input.window) {
    params["input.window"] = base::StrCat(input.window->size, " rows, every ", input.window->step);
  }
}

Json TextsJson(const std::map<std::string, std::string>& texts) {
  Json json = Json::MakeObject();
  for (const auto& [name, value] : texts) json.Set(name, value);
  return json;
}

std::map<std::string, std::string> ReadTexts(base::JsonReader object) {
  std::map<std::string, std::string> texts;
  if (!object.json().is_object()) return texts;
  for (const auto& [name, value] : object.json().as_object()) {
    texts[name] = object.String(name, {.bytes_max = 1u << 20});
  }
  return texts;
}

Json TimeJson(const std::optional<base::Time>& time) {
  return time ? Json(std::int64_t{time->time_since_epoch().count()}) : Json();
}

base::Time ToTime(std::int64_t milliseconds) { return base::Time(base::Duration(milliseconds)); }

}  // namespace

std::string RunIdOf(const std::string& run_key) {
  return base::Sha256Hex(base::AsBytes(run_key)).substr(0, 32);
}

std::string Recorder::ExperimentOf(const std::string& family, const std::string& device_id) const {
  if (options_.is_per_device && !device_id.empty()) return "tinysphere/device/" + device_id;
  return base::StrCat("tinysphere/", family.empty() ? kNoFamily : std::string_view(family));
}

base::Result<std::string> Recorder::FamilyOf(Transaction& transaction, const std::string& bundle,
                                             const std::string& device_id) const {
  ASSIGN_OR_RETURN(const auto known,
                   transaction.QueryOne("SELECT m.model_family FROM model_versions v JOIN models m "
                                        "ON m.name = v.name WHERE v.bundle = $1 LIMIT 1",
                                        {bundle}));
  if (known) return known->Text("model_family");
  ASSIGN_OR_RETURN(
      const auto device,
      transaction.QueryOne("SELECT model_family FROM devices WHERE device_id = $1", {device_id}));
  return device ? device->Text("model_family") : std::string();
}

base::Status Recorder::Imported(Transaction& transaction, const std::string& bundle,
                                base::Time now) {
  ASSIGN_OR_RETURN(
      const auto row,
      transaction.QueryOne("SELECT v.name, v.version, v.stage, v.created_at, v.created_by, "
                           "b.archive_sha256, b.bytes, b.object_key, b.publisher, b.manifest "
                           "FROM model_versions v JOIN bundles b ON b.bundle = v.bundle "
                           "WHERE v.bundle = $1 ORDER BY v.created_at LIMIT 1",
                           {bundle}));
  if (!row) return Error{ErrorCode::kNotFound, "no version is made of the bundle " + bundle};
  ASSIGN_OR_RETURN(const protocol::BundleManifest manifest,
                   protocol::ParseBundleManifest(base::AsBytes(row->Text("manifest"))));
  const base::Time at = row->Time("created_at");
  Told told{.experiment = ExperimentOf(manifest.model_family, ""),
            .key = "import:" + bundle,
            .kind = "import",
            .name = base::StrCat("import ", manifest.name, " ", manifest.version)};
  told.bundle = bundle;
  told.started_at = at;
  told.ended_at = at;
  told.params = {{"name", manifest.name},
                 {"version", manifest.version},
                 {"model_family", manifest.model_family},
                 {"task", manifest.task},
                 {"device_class", Joined(manifest.device_class)},
                 {"labels", Joined(manifest.labels)},
                 {"bundle", bundle}};
  AddText(told.params, "min_agent", manifest.min_agent);
  AddText(told.params, "licence", manifest.licence);
  AddInput(told, manifest.input);
  told.tags = {{"tinysphere.bundle", bundle},
               {"tinysphere.archive_sha256", row->Text("archive_sha256")},
               {"tinysphere.publisher", row->Text("publisher")},
               {"tinysphere.stage", row->Text("stage")},
               {"tinysphere.by", row->Text("created_by")}};
  AddText(told.tags, "tinysphere.parent_bundle", manifest.lineage.parent);
  if (!manifest.lineage.taught_by.empty()) {
    told.tags["tinysphere.taught_by"] = Joined(manifest.lineage.taught_by);
  }
  AddCount(told, "bundle_bytes", row->Int("bytes"), at);
  AddCount(told, "label_count", manifest.labels.size(), at);
  if (const auto* model = manifest.FileWithRole(protocol::kRoleFeatureModel)) {
    AddCount(told, "model_bytes", model->bytes, at);
    told.params["model"] = model->path;
    told.params["model_sha256"] = model->sha256;
  }
  if (manifest.lineage.data) {
    told.datasets.push_back({.name = manifest.model_family,
                             .digest = *manifest.lineage.data,
                             .source = "lineage.data of the bundle " + bundle,
                             .profile = "",
                             .context = "training"});
  }
  told.registers = manifest.name;
  return Tell(transaction, told, now);
}

base::Status Recorder::Staged(Transaction& transaction, const std::string& name,
                              const std::string& version, const std::string& stage,
                              base::Time now) {
  ASSIGN_OR_RETURN(
      const auto row,
      transaction.QueryOne("SELECT v.bundle, v.created_at, m.model_family FROM model_versions v "
                           "JOIN models m ON m.name = v.name WHERE v.name = $1 AND v.version = $2",
                           {name, version}));
  if (!row) return Error{ErrorCode::kNotFound, base::StrCat("no version ", version, " of ", name)};
  const std::string bundle = row->Text("bundle");
  Told told{.experiment = ExperimentOf(row->Text("model_family"), ""),
            .key = "import:" + bundle,
            .kind = "import",
            .name = base::StrCat("import ", name, " ", version)};
  told.bundle = bundle;
  told.started_at = row->Time("created_at");
  told.ended_at = told.started_at;
  told.tags = {{"tinysphere.stage", stage}};
  told.registers = name;
  if (stage == "production") told.aliases = {"champion"};
  return Tell(transaction, told, now);
}

base::Status Recorder::Trained(Transaction& transaction, const Training& training, base::Time now) {
  Told told{.experiment = ExperimentOf(training.model_family, ""),
            .key = "training:" + training.sha256,
            .kind = "training",
            .name = base::StrCat("fit ", training.name, " ", training.version)};
  told.bundle = training.bundle;
  told.started_at = now;
  told.ended_at = now;
  for (const auto& [name, value] : training.params) told.params[name] = Clean(value);
  told.params["name"] = training.name;
  told.params["version"] = training.version;
  told.params["model_family"] = training.model_family;
  told.tags = {{"tinysphere.bundle", training.bundle}, {"tinysphere.by", training.by}};
  for (const auto& [name, value] : training.metrics) AddMetric(told, name, value, now);
  if (training.dataset) told.datasets.push_back(*training.dataset);
  told.artifacts.push_back({.path = "training.tar.zst",
                            .object_key = training.object_key,
                            .bytes = training.bytes,
                            .sha256 = training.sha256});
  return Tell(transaction, told, now);
}

base::Status Recorder::Evaluated(Transaction& transaction, const std::string& device_id,
                                 const std::string& bundle, const std::string& adaptation_sha256,
                                 std::int64_t number, const protocol::Judgement& judgement,
                                 base::Time now) {
  ASSIGN_OR_RETURN(const std::string family, FamilyOf(transaction, bundle, device_id));
  Told told{.experiment = ExperimentOf(family, device_id),
            .key = base::StrCat("evaluation:", device_id, ":", adaptation_sha256, ":", number),
            .kind = "evaluation",
            .name = base::StrCat("judge ", adaptation_sha256.substr(0, 8), " of ", device_id)};
  told.device_id = device_id;
  told.bundle = bundle;
  told.started_at = now;
  told.ended_at = now;
  told.params = {{"judgement", protocol::Name(judgement.judgement)}};
  AddText(told.params, "reason", judgement.reason);
  told.tags = {{"tinysphere.device", device_id},
               {"tinysphere.bundle", bundle},
               {"tinysphere.adaptation", adaptation_sha256}};
  AddCount(told, "labels", judgement.labels, now);
  AddMetric(told, "accuracy_before", Share(judgement.right_before, judgement.labels), now);
  AddMetric(told, "accuracy", Share(judgement.right_after, judgement.labels), now);
  AddMetric(told, "accuracy_difference", judgement.difference, now);
  if (judgement.interval) {
    AddMetric(told, "accuracy_difference_low", (*judgement.interval)[0], now);
    AddMetric(told, "accuracy_difference_high", (*judgement.interval)[1], now);
  }
  AddMetric(told, "adaptation_success", SuccessOf(judgement), now);
  return Tell(transaction, told, now);
}

base::Status Recorder::Adapted(Transaction& transaction, const std::string& device_id,
                               const std::string& bundle, const protocol::AdaptationReport& report,
                               base::Time received_at) {
  const bool is_rollback = report.state == "rolled_back";
  // A device also reports steps in which nothing was tried, learned or undone.
  if (!is_rollback && report.state != "escalated" && report.candidates.empty() &&
      report.labels.empty() && report.orders.empty()) {
    return {};
  }
  ASSIGN_OR_RETURN(const std::string family, FamilyOf(transaction, bundle, device_id));
  Told told{.experiment = ExperimentOf(family, device_id),
            .key = base::StrCat("adaptation:", device_id, ":", report.adaptation_id),
            .kind = is_rollback ? "rollback" : "adaptation",
            .name = Clean(base::StrCat(is_rollback ? "rollback" : "adaptation", " ",
                                       report.adaptation_id, " of ", device_id))};
  told.device_id = device_id;
  told.bundle = bundle;
  told.started_at = received_at;
  told.ended_at = received_at;
  told.params = {{"state", Clean(report.state)}};
  AddText(told.params, "hypothesis", report.hypothesis);
  AddText(told.params, "challenger", report.challenger);
  AddText(told.params, "event_id", report.event_id);
  AddText(told.params, "feedback_id", report.feedback_id);
  told.tags = {{"tinysphere.device", device_id}, {"tinysphere.bundle", bundle}};
  AddText(told.tags, "tinysphere.adaptation", report.adaptation_sha256);
  AddText(told.tags, "mlflow.note.content",
          report.text.empty() ? std::nullopt : std::optional(report.text));
  const auto applied =
      std::count_if(report.labels.begin(), report.labels.end(), [](const auto& label) {
        return label.outcome == "applied" || label.outcome == "opened_class" ||
               label.outcome == "replaced" || label.outcome == "retracted";
      });
  AddCount(told, "labels", report.labels.size(), received_at);
  AddCount(told, "labels_applied", applied, received_at);
  AddCount(told, "candidates", report.candidates.size(), received_at);
  AddMetric(told, "accuracy_before", report.label_accuracy_before, received_at);
  AddMetric(told, "accuracy", report.label_accuracy_after, received_at);
  AddMetric(told, "canary_before", report.canary_before, received_at);
  AddMetric(told, "canary_after", report.canary_after, received_at);
  AddMetric(told, "adaptation_success", SuccessOf(report), received_at);
  return Tell(transaction, told, received_at);
}

base::Status Recorder::RolledOut(Transaction& transaction, const std::string& rollout_id,
                                 base::Time now) {
  ASSIGN_OR_RETURN(
      const auto row,
      transaction.QueryOne("SELECT r.name, r.version, r.bundle, r.state, r.target, r.created_at, "
                           "r.created_by, m.model_family, (SELECT MAX(e.entry) FROM rollout_events "
                           "e WHERE e.rollout_id = r.rollout_id) AS step FROM rollouts r "
                           "JOIN models m ON m.name = r.name WHERE r.rollout_id = $1",
                           {rollout_id}));
  if (!row) return Error{ErrorCode::kNotFound, "no rollout is called " + rollout_id};
  ASSIGN_OR_RETURN(const Rows counted,
                   transaction.Query("SELECT state, COUNT(*) AS devices FROM rollout_devices "
                                     "WHERE rollout_id = $1 GROUP BY state",
                                     {rollout_id}));
  const std::string state = row->Text("state");
  const std::string bundle = row->Text("bundle");
  const std::int64_t step = row->Int("step");
  Told told{.experiment = ExperimentOf(row->Text("model_family"), ""),
            .key = "rollout:" + rollout_id,
            .kind = "rollout",
            .name = base::StrCat("rollout ", row->Text("name"), " ", row->Text("version"))};
  told.status = StatusOfRollout(state);
  told.bundle = bundle;
  told.parent_key = "import:" + bundle;
  told.started_at = row->Time("created_at");
  if (told.status != "running") told.ended_at = now;
  told.params = {{"rollout", rollout_id},
                 {"name", row->Text("name")},
                 {"version", row->Text("version")},
                 {"target", row->Text("target")}};
  told.tags = {{"tinysphere.bundle", bundle},
               {"tinysphere.rollout_state", state},
               {"tinysphere.by", row->Text("created_by")}};
  std::map<std::string, std::int64_t> devices = {
      {"pending", 0}, {"told", 0}, {"running", 0}, {"failed", 0}, {"skipped", 0}};
  std::int64_t total = 0;
  for (const Row& count : counted) {
    devices[count.Text("state")] = count.Int("devices");
    total += count.Int("devices");
  }
  AddCount(told, "devices", total, now, step);
  for (const auto& [name, count] : devices) AddCount(told, "devices_" + name, count, now, step);
  const Json target = row->Document("target");
  const Json* kind = target.Find("kind");
  if (state == "running" && kind != nullptr && *kind == Json("model_family")) {
    told.registers = row->Text("name");
    told.aliases = {"champion"};
  }
  return Tell(transaction, told, now);
}

base::Status Recorder::Drifted(Transaction& transaction, const DriftPeriod& period) {
  const std::string month = base::FormatTime(period.starts_at).substr(0, 7);
  const std::string subject = period.device_id.empty() ? period.model_family : period.device_id;
  const base::Time end = period.starts_at + period.length;
  Told told{
      .experiment = ExperimentOf(period.model_family, period.device_id),
      .key = base::StrCat("drift:", subject, ":", base::FormatDuration(period.length), ":", month),
      .kind = "drift",
      .name = base::StrCat("drift ", month)};
  told.device_id = period.device_id;
  told.started_at = period.starts_at;
  told.ended_at = end;
  told.params = {{"model_family", period.model_family},
                 {"aggregated_over", base::FormatDuration(period.length)},
                 {"month", month}};
  const std::int64_t step = period.starts_at.time_since_epoch().count() /
                            std::max<std::int64_t>(1, period.length.count());
  AddCount(told, "devices", period.devices, end, step);
  AddCount(told, "drift_events", period.events, end, step);
  AddMetric(told, "drift_rate", Share(period.drifted_devices, period.devices), end, step);
  AddMetric(told, "accuracy", period.accuracy, end, step);
  AddMetric(told, "accuracy_verified", period.accuracy_verified, end, step);
  AddCount(told, "labels", period.labels, end, step);
  AddCount(told, "adaptations", period.adaptations, end, step);
  AddMetric(told, "adaptation_success", period.adaptation_success, end, step);
  return Tell(transaction, told, end);
}

base::Status Recorder::Tell(Transaction& transaction, const Told& given, base::Time now) {
  for (const Metric& metric : given.metrics) {
    if (!std::isfinite(metric.value)) {
      return Error{ErrorCode::kInvalidArgument, base::StrCat("run ", given.key, ": the metric ",
                                                             metric.name, " is no finite number")};
    }
  }
  Told told = given;  // What of it is news; that alone goes into the outbox.
  const std::string run_id = RunIdOf(told.key);
  const bool is_of_device = told.experiment.starts_with("tinysphere/device/");
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO experiments (name, kind, subject, created_at) VALUES ($1, $2, $3, $4) "
      "ON CONFLICT (name) DO NOTHING",
      {told.experiment, is_of_device ? "device" : "family",
       told.experiment.substr(told.experiment.rfind('/') + 1), now}));
  ASSIGN_OR_RETURN(const auto before,
                   transaction.QueryOne("SELECT experiment, status FROM runs WHERE "
                                        "run_id = $1",
                                        {run_id}));
  bool is_news = true;
  if (before) {
    // It stays where it began, even if its device's family is known better now.
    told.experiment = before->Text("experiment");
    // A later end alone is none: the same fact, told once more.
    is_news = before->Text("status") != told.status;
    RETURN_IF_ERROR(
        transaction.Execute("UPDATE runs SET status = $2, ended_at = $3 WHERE run_id = $1",
                            {run_id, told.status, told.ended_at}));
  } else {
    RETURN_IF_ERROR(transaction.Execute(
        "INSERT INTO runs (run_id, run_key, experiment, kind, name, status, device_id, bundle, "
        "parent_run_id, started_at, ended_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
        "$11)",
        {run_id, told.key, told.experiment, told.kind, told.name, told.status, told.device_id,
         told.bundle, told.parent_key.empty() ? "" : RunIdOf(told.parent_key), told.started_at,
         told.ended_at}));
  }
  for (const auto& [name, value] : given.params) {
    ASSIGN_OR_RETURN(const std::int64_t added,
                     transaction.Execute("INSERT INTO run_params (run_id, name, value) VALUES "
                                         "($1, $2, $3) ON CONFLICT (run_id, name) DO NOTHING",
                                         {run_id, name, value}));
    // A parameter keeps its first value, here as in MLflow.
    if (added == 0) told.params.erase(name);
  }
  for (const auto& [name, value] : given.tags) {
    ASSIGN_OR_RETURN(const std::int64_t changed,
                     transaction.Execute("INSERT INTO run_tags (run_id, name, value) VALUES "
                                         "($1, $2, $3) ON CONFLICT (run_id, name) DO UPDATE SET "
                                         "value = $3 WHERE run_tags.value <> $3",
                                         {run_id, name, value}));
    if (changed == 0) told.tags.erase(name);
  }
  told.metrics.clear();
  for (const Metric& metric : given.metrics) {
    ASSIGN_OR_RETURN(
        const std::int64_t added,
        transaction.Execute("INSERT INTO run_metrics (run_id, name, step, at, value) "
                            "VALUES ($1, $2, $3, $4, $5) "
                            "ON CONFLICT (run_id, name, step) DO NOTHING",
                            {run_id, metric.name, metric.step, metric.at, metric.value}));
    if (added > 0) told.metrics.push_back(metric);
  }
  told.datasets.clear();
  for (const Dataset& dataset : given.datasets) {
    RETURN_IF_ERROR(transaction.Execute(
        "INSERT INTO datasets (digest, name, source, profile, created_at) VALUES ($1, $2, $3, $4, "
        "$5) ON CONFLICT (name, digest) DO NOTHING",
        {dataset.digest, dataset.name, dataset.source, dataset.profile, now}));
    ASSIGN_OR_RETURN(const std::int64_t added,
                     transaction.Execute("INSERT INTO run_datasets (run_id, name, digest, context) "
                                         "VALUES ($1, $2, $3, $4) "
                                         "ON CONFLICT (run_id, name, digest) DO NOTHING",
                                         {run_id, dataset.name, dataset.digest, dataset.context}));
    if (added > 0) told.datasets.push_back(dataset);
  }
  told.artifacts.clear();
  for (const Artifact& artifact : given.artifacts) {
    ASSIGN_OR_RETURN(const std::int64_t added,
                     transaction.Execute("INSERT INTO run_artifacts (run_id, path, object_key, "
                                         "bytes, sha256) VALUES ($1, $2, $3, $4, $5) "
                                         "ON CONFLICT (run_id, path) DO NOTHING",
                                         {run_id, artifact.path, artifact.object_key,
                                          artifact.bytes, artifact.sha256}));
    if (added > 0) told.artifacts.push_back(artifact);
  }
  is_news = is_news || !told.params.empty() || !told.tags.empty() || !told.metrics.empty() ||
            !told.datasets.empty() || !told.artifacts.empty() || !told.aliases.empty();
  if (!is_news) return {};
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO outbox (experiment, run_id, document, state, created_at) VALUES "
      "($1, $2, $3, 'waiting', $4)",
      {told.experiment, run_id, ToJson(told).Write(), now}));
  return {};
}

Json ToJson(const Told& told) {
  Json::Array metrics;
  for (const Metric& metric : told.metrics) {
    metrics.push_back(Json::MakeObject({{"name", metric.name},
                                        {"value", metric.value},
                                        {"step", metric.step},
                                        {"at", TimeJson(metric.at)}}));
  }
  Json::Array datasets;
  for (const Dataset& dataset : told.datasets) {
    datasets.push_back(Json::MakeObject({{"name", dataset.name},
                                         {"digest", dataset.digest},
                                         {"source", dataset.source},
                                         {"profile", dataset.profile},
                                         {"context", dataset.context}}));
  }
  Json::Array artifacts;
  for (const Artifact& artifact : told.artifacts) {
    artifacts.push_back(Json::MakeObject({{"path", artifact.path},
                                          {"object_key", artifact.object_key},
                                          {"bytes", artifact.bytes},
                                          {"sha256", artifact.sha256}}));
  }
  Json::Array aliases;
  for (const std::string& alias : told.aliases) aliases.emplace_back(alias);
  return Json::MakeObject({{"experiment", told.experiment},
                           {"key", told.key},
                           {"kind", told.kind},
                           {"name", told.name},
                           {"status", told.status},
                           {"device_id", told.device_id},
                           {"bundle", told.bundle},
                           {"parent_key", told.parent_key},
                           {"started_at", TimeJson(told.started_at)},
                           {"ended_at", TimeJson(told.ended_at)},
                           {"params", TextsJson(told.params)},
                           {"tags", TextsJson(told.tags)},
                           {"metrics", std::move(metrics)},
                           {"datasets", std::move(datasets)},
                           {"artifacts", std::move(artifacts)},
                           {"registers", told.registers},
                           {"aliases", std::move(aliases)}});
}

base::Result<Told> ParseTold(const std::string& document) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(document));
  base::JsonReader reader(json, "outbox");
  const base::JsonReader::TextLimits any{.bytes_max = 1u << 20};
  Told told{.experiment = reader.String("experiment", any),
            .key = reader.String("key", any),
            .kind = reader.String("kind"),
            .name = reader.String("name", any),
            .status = reader.String("status"),
            .device_id = reader.String("device_id", any),
            .bundle = reader.String("bundle", any),
            .parent_key = reader.String("parent_key", any),
            .started_at = ToTime(reader.Int("started_at"))};
  if (const auto ended_at = reader.OptionalInt("ended_at")) told.ended_at = ToTime(*ended_at);
  told.params = ReadTexts(reader.Object("params"));
  told.tags = ReadTexts(reader.Object("tags"));
  for (base::JsonReader metric : reader.Array("metrics")) {
    told.metrics.push_back({.name = metric.String("name", any),
                            .value = metric.Double("value"),
                            .step = metric.Int("step"),
                            .at = ToTime(metric.Int("at"))});
  }
  for (base::JsonReader dataset : reader.Array("datasets")) {
    told.datasets.push_back({.name = dataset.String("name", any),
                             .digest = dataset.String("digest", any),
                             .source = dataset.String("source", any),
                             .profile = dataset.String("profile", any),
                             .context = dataset.String("context", any)});
  }
  for (base::JsonReader artifact : reader.Array("artifacts")) {
    told.artifacts.push_back(
        {.path = artifact.String("path", any),
         .object_key = artifact.String("object_key", any),
         .bytes = static_cast<std::uint64_t>(artifact.Int("bytes", {.min = 0, .max = INT64_MAX})),
         .sha256 = artifact.String("sha256")});
  }
  told.registers = reader.String("registers", any);
  told.aliases = reader.Strings("aliases");
  RETURN_IF_ERROR(reader.status());
  return told;
}

}  // namespace tinysphere::experiment
