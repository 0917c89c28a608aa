// Experiments: the recorded runs as the API shows them, with MLflow or without one, and the way in
// for trainings (`tinylcm fit --upload`).

#pragma once

#include <functional>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/experiment/mlflow_mirror.h"
#include "tinysphere/experiment/recorder.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/router.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::experiment {

inline constexpr std::uint64_t kTrainingBytesMax = 512u << 20;

// May be used from several threads.
class Experiments {
 public:
  // All must outlive it.
  Experiments(store::Database& database, store::ObjectStore& objects, base::FileSystem& fs,
              base::Clock& clock, http::EventHub& events, Recorder& recorder, MlflowMirror& mirror)
      : database_(database),
        objects_(objects),
        fs_(fs),
        clock_(clock),
        events_(events),
        recorder_(recorder),
        mirror_(mirror) {}

  // How the bridge stands; unset where there is no MLflow. Before the first request.
  void OnState(std::function<base::Json()> state) { state_ = std::move(state); }
  // Something waits in the outbox that did not before.
  void OnWaiting(std::function<void()> wake) { wake_ = std::move(wake); }

  base::Result<base::Json> List(const http::Request& request);
  // ?experiment=NAME, ?kind=KIND, ?device=ID
  base::Result<base::Json> Runs(const http::Request& request);
  base::Result<base::Json> Run(const std::string& run_id);
  // {"is_configured", "is_reachable", ..., "waiting", "oldest_waiting_at", "set_aside"}
  base::Result<base::Json> Mlflow();
  // What was set aside goes once more. {"retried"}
  base::Result<base::Json> Retry(const std::string& by);

  struct Taken {
    base::Json run;
    bool is_new = false;
  };
  // An archive (docs/formats/training.md) at `path`, which is gone on success. kInvalidArgument,
  // kCorrupt for one that is none.
  base::Result<Taken> TakeTraining(const std::string& path, const std::string& sha256,
                                   std::uint64_t bytes, const std::string& by);

  // Of bundles that came in before runs were recorded; at start.
  base::Status RecordEarlierBundles();
  // Entries that were sent before `before`.
  base::Status ForgetSent(base::Time before);

  void AddRoutes(http::Router& router);

 private:
  store::Database& database_;
  store::ObjectStore& objects_;
  base::FileSystem& fs_;
  base::Clock& clock_;
  http::EventHub& events_;
  Recorder& recorder_;
  MlflowMirror& mirror_;
  std::function<base::Json()> state_;
  std::function<void()> wake_;
};

// training.json, the first entry of the archive.
base::Result<Training> ParseTraining(std::string_view json);

}  // namespace tinysphere::experiment
