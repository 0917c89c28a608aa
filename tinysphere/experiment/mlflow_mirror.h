// MlflowMirror: what MLflow's model registry says, copied into our tables by looking every now and
// then; and what follows from it here.
//
//   alias `fleet-<group>` on a version that holds a bundle of ours ─▶ a rollout proposal, which a
//   person starts or lets be; a version that is a bare .tflite or .onnx ─▶ "waits for a bundle"
//
// Nothing is rolled out because somebody moved an alias: devices install what their publisher
// signed, and a person here says when. (MLflow's webhooks refuse private addresses; hence looking.)

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/http/events.h"
#include "tinysphere/http/message.h"
#include "tinysphere/platform/mlflow/client.h"
#include "tinysphere/store/database.h"

namespace tinysphere::experiment {

inline constexpr std::string_view kFleetAlias = "fleet-";
inline constexpr std::size_t kVersionsMax = 20'000;  // More are not looked at; the newest first.
inline constexpr int kFilesALook = 20;               // MLmodel files read a look.
inline constexpr int kUntoldTimesMax = 10;           // Then each 512 looks, some 6 hours.

// May be used from several threads; Look from one.
class MlflowMirror {
 public:
  // Both must outlive it.
  MlflowMirror(store::Database& database, http::EventHub& events)
      : database_(database), events_(events) {}

  base::Status Look(mlflow::Client& client, base::Time now);

  base::Result<base::Json> Versions(const http::Request& request);
  base::Result<base::Json> Proposals(const http::Request& request);
  // A person lets it be. kConflict if it is not open.
  base::Result<base::Json> Dismiss(const std::string& proposal_id, const std::string& by,
                                   base::Time now);

 private:
  struct Seen;
  // A version whose MLmodel could not be read, be it missing or MLflow's store away: read again
  // 1, 2, 4, .. looks later, so that those that miss it do not use up every look.
  struct Untold {
    int times = 0;
    std::int64_t at_look = 0;
  };

  store::Database& database_;
  http::EventHub& events_;
  std::int64_t looks_ = 0;
  std::map<std::pair<std::string, std::int64_t>, Untold> untold_;
};

// What an MLmodel file says it holds: "tflite", "onnx" or "other".
std::string HoldsByFlavours(const std::string& mlmodel);

}  // namespace tinysphere::experiment
