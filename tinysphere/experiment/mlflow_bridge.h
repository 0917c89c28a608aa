// MlflowBridge: carries the outbox to MLflow, entry after entry, and looks at MLflow's registry.
//
// Picture a messenger with a pile of letters for a counter that is often closed. Letters of one
// experiment go in their order; one that cannot be delivered holds up its own experiment only. The
// messenger notes what was handed in, and whenever the counter closed in the middle of it, first
// looks what arrived: nothing is handed in twice and nothing is left out.
//
//   entry ─▶ experiment ─▶ run ─▶ params, tags, metrics ─▶ datasets ─▶ artifacts ─▶ model ─▶
//   version
//            by name       by tag  read back when in doubt  idempotent  idempotent   by tag   by
//            tag
//
// What no answer came to is tried again after 1 s to 5 min, for ever; what MLflow answered with 500
// as well, but after kAnswersMax of those the entry is set aside with its reason, as is at once
// what is refused. People see it and drive it again. A fault of our own database or object store is
// none of MLflow's: the entry waits until it is over. Never inside a request: a thread of its own.
//
// MLflow answers 20 to 70 calls a second; an imported model is some 20 calls, an adaptation 5.

#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/logger.h"
#include "base/random.h"
#include "base/result.h"
#include "tinysphere/experiment/mlflow_mirror.h"
#include "tinysphere/experiment/recorder.h"
#include "tinysphere/platform/mlflow/client.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"
#include "tinysphere/telemetry/telemetry.h"

namespace tinysphere::experiment {

inline constexpr int kAnswersMax = 30;  // 500s to one entry, before it is set aside.
inline constexpr std::size_t kMetricsABatch = 500;
// A larger model is registered with its bundle, but without the flavours that load it.
inline constexpr std::uint64_t kModelBytesMax = 128u << 20;

struct BridgeOptions {
  base::Duration look_every{45'000};  // At MLflow's registry.
  std::uint64_t seed = 1;             // Of the jitter.
};

// Start, Stop, Wake and the Jsons may be used from several threads; Step is the thread's own.
class MlflowBridge {
 public:
  // All must outlive it. `http` is told to stop when the bridge is.
  MlflowBridge(store::Database& database, store::ObjectStore& objects, base::Clock& clock,
               base::Logger& logger, outbound::HttpClient& http, mlflow::Client client,
               MlflowMirror& mirror, BridgeOptions options,
               telemetry::Telemetry& telemetry = telemetry::NullTelemetry());
  ~MlflowBridge() { Stop(); }
  MlflowBridge(const MlflowBridge&) = delete;
  MlflowBridge& operator=(const MlflowBridge&) = delete;

  void Start();
  void Wake();
  // Ends the call under way, too: its entry is read back at the next start.
  void Stop();

  // One entry, or one look at the registry, or nothing. How long to wait before the next; zero: at
  // once.
  base::Duration Step();

  // {"is_reachable", "version", "error", "failed_at", "next_try_at"}
  base::Json StateJson() const;

 private:
  struct Entry;
  struct Progress;
  class Errand;
  struct Seen {
    std::optional<bool> is_reachable;
    std::string version;
    std::string error;
    base::Time failed_at{};
    base::Time next_try_at{};
  };

  void Loop();
  base::Result<std::optional<Entry>> Next(base::Time now);
  base::Duration LookAgain(base::Time now);
  base::Status Failed(Entry& entry, const base::Error& error);
  base::Duration Pause(const base::Error& error);
  void Reached();

  store::Database& database_;
  store::ObjectStore& objects_;
  base::Clock& clock_;
  base::Logger& logger_;
  outbound::HttpClient& http_;
  mlflow::Client client_;
  MlflowMirror& mirror_;
  BridgeOptions options_;
  base::Random random_;
  telemetry::Counter& sent_;
  telemetry::Counter& retried_;
  telemetry::Counter& set_aside_;

  int failures_ = 0;  // In a row, of reaching it at all.
  base::Duration look_at_{0};
  std::string version_;
  bool may_have_doubles_ = true;  // What was delivered in doubt and not looked at since.

  mutable std::mutex mutex_;
  Seen seen_;
  std::condition_variable changed_;
  bool is_woken_ = false;
  bool is_stopping_ = false;
  std::thread thread_;
};

}  // namespace tinysphere::experiment
