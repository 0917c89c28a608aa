// Recorder: writes down what happened to models as experiments and runs, in the transaction of the
// fact itself.
//
// Picture a laboratory journal kept in carbon copy: the page stays here (our own tables, which the
// API shows), and the copy waits in the outbox until MlflowBridge has carried it to MLflow. No
// request ever waits for MLflow, and without one the journal is the same.
//
//   import  training  evaluation  adaptation  rollback  rollout  drift    each is a run, found by
//   its key ("import:<bundle>"): told twice, it is the same run
//
// An experiment is a model family ("tinysphere/digits-camera"), or a device by option. Telemetry of
// single devices is no experiment: it goes into the series, and only aggregates come here.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/adaptation_report.h"
#include "protocol/judgement.h"
#include "tinysphere/store/database.h"

namespace tinysphere::experiment {

// A figure at a step; a step that is there already keeps its figure.
struct Metric {
  std::string name;
  double value = 0.0;  // Finite.
  std::int64_t step = 0;
  base::Time at{};

  friend bool operator==(const Metric&, const Metric&) = default;
};

struct Dataset {
  std::string name;
  std::string digest;   // SHA-256, hex.
  std::string source;   // In words: where it lies.
  std::string profile;  // JSON or nothing.
  std::string context;  // "training", "evaluation"

  friend bool operator==(const Dataset&, const Dataset&) = default;
};

struct Artifact {
  std::string path;        // In the run.
  std::string object_key;  // Here.
  std::uint64_t bytes = 0;
  std::string sha256;

  friend bool operator==(const Artifact&, const Artifact&) = default;
};

// Everything that is said of a run at once. Said again with more, the run grows.
struct Told {
  std::string experiment;
  std::string key;
  std::string kind;
  std::string name;
  std::string status = "finished";  // "running", "finished", "failed", "killed"
  std::string device_id{};
  std::string bundle{};
  std::string parent_key{};
  base::Time started_at{};
  std::optional<base::Time> ended_at{};
  std::map<std::string, std::string> params{};
  std::map<std::string, std::string> tags{};
  std::vector<Metric> metrics{};
  std::vector<Dataset> datasets{};
  std::vector<Artifact> artifacts{};
  // The bundle becomes a logged model and a version of the registered model `name`; "" for none.
  std::string registers{};
  // Of the version of `bundle` in the registered model: these are set to it.
  std::vector<std::string> aliases{};
};

struct RecorderOptions {
  bool is_per_device = false;  // An experiment a device instead of one a family.
};

// What `tinylcm fit --upload` sends. docs/formats/training.md.
struct Training {
  std::string sha256;  // Of the archive; the run's key.
  std::string name;
  std::string version;
  std::string model_family;
  std::string bundle;  // What the bundle is called once it is signed as it is.
  std::map<std::string, std::string> params;
  std::map<std::string, double> metrics;
  std::optional<Dataset> dataset;
  std::string object_key;
  std::uint64_t bytes = 0;
  std::string by;
};

// Figures of one family in one period.
struct DriftPeriod {
  std::string model_family;
  std::string device_id;  // "" for the whole family.
  base::Time starts_at{};
  base::Duration length{};
  std::int64_t devices = 0;
  std::int64_t events = 0;
  std::int64_t drifted_devices = 0;
  std::optional<double> accuracy;            // Mean of what devices estimate of themselves.
  std::optional<double> accuracy_verified;   // Of samples that people labelled; those of drift.
  std::optional<double> adaptation_success;  // Share of adaptations that stood.
  std::int64_t adaptations = 0;
  std::int64_t labels = 0;
};

// Holds nothing but its options; may be used from several threads.
class Recorder {
 public:
  explicit Recorder(RecorderOptions options = {}) : options_(options) {}

  // Each in the transaction of its fact, and idempotent by it.
  base::Status Imported(store::Transaction& transaction, const std::string& bundle, base::Time now);
  base::Status Staged(store::Transaction& transaction, const std::string& name,
                      const std::string& version, const std::string& stage, base::Time now);
  base::Status Trained(store::Transaction& transaction, const Training& training, base::Time now);
  // The judgement number `number` of an adaptation.
  base::Status Evaluated(store::Transaction& transaction, const std::string& device_id,
                         const std::string& bundle, const std::string& adaptation_sha256,
                         std::int64_t number, const protocol::Judgement& judgement, base::Time now);
  // What a device reported of itself; a rollback where the report says so.
  base::Status Adapted(store::Transaction& transaction, const std::string& device_id,
                       const std::string& bundle, const protocol::AdaptationReport& report,
                       base::Time received_at);
  // How a rollout stands now, as its tables say.
  base::Status RolledOut(store::Transaction& transaction, const std::string& rollout_id,
                         base::Time now);
  base::Status Drifted(store::Transaction& transaction, const DriftPeriod& period);

  // What all of these come down to.
  base::Status Tell(store::Transaction& transaction, const Told& told, base::Time now);

 private:
  std::string ExperimentOf(const std::string& family, const std::string& device_id) const;
  base::Result<std::string> FamilyOf(store::Transaction& transaction, const std::string& bundle,
                                     const std::string& device_id) const;

  RecorderOptions options_;
};

// 32 hex digits: how a run is called here.
std::string RunIdOf(const std::string& run_key);

// The outbox entry's document, and back.
base::Json ToJson(const Told& told);
base::Result<Told> ParseTold(const std::string& document);

}  // namespace tinysphere::experiment
