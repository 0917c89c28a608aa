// Unpacking: what a package of the prototype becomes: figures, events, pictures, lines of a log.
//
//   metrics.json            ─▶ figures            operational_log_*.jsonl ─▶ a part of the log
//   drift_event.json + jpg  ─▶ event, sample      prediction_images.json + jpg ─▶ sampled pictures
//
// Such an archive has no manifest and no signature; its files are told by their names. What is not
// known stays in the archive, as with every package. Idempotent, like Unpacker.

#pragma once

#include <string>
#include <string_view>

#include "base/clock.h"
#include "base/json.h"
#include "base/result.h"
#include "protocol/drift_event.h"
#include "protocol/metrics.h"
#include "tinysphere/drifthub/drift_hub.h"
#include "tinysphere/http/events.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::legacy {

// May be used from several threads.
class Unpacking {
 public:
  // All must outlive it.
  Unpacking(store::Database& database, store::ObjectStore& objects, store::Queue& queue,
            base::Clock& clock, http::EventHub& events, drifthub::DriftHub& hub)
      : database_(database),
        objects_(objects),
        queue_(queue),
        clock_(clock),
        events_(events),
        hub_(hub) {}

  // Does a job ingest::kLegacyUnpackJob and completes it.
  base::Status Unpack(const store::Job& job);

 private:
  struct Package;
  struct Contents;

  base::Status Read(const Package& package, Contents& contents);
  base::Status KeepFiles(const Package& package, Contents& contents);
  base::Status Store(store::Transaction& transaction, const Package& package,
                     const Contents& contents);
  base::Status StoreEvent(store::Transaction& transaction, const Package& package,
                          const Contents& contents);

  store::Database& database_;
  store::ObjectStore& objects_;
  store::Queue& queue_;
  base::Clock& clock_;
  http::EventHub& events_;
  drifthub::DriftHub& hub_;
};

// The prototype's figures as ours. What it counts otherwise or not at all stays unknown.
protocol::DeviceMetrics MetricsOf(const base::Json& figures, base::Time at);

// The prototype's event as ours: `kind` where its detector says one, its reason as text, its
// detector as the signal.
protocol::DriftEvent EventOf(const base::Json& event, const std::string& event_id);

// What the prototype calls an event whose first signal is `detector`: "confidence",
// "distribution", "feature", "knn_distance", "outlier" or "unknown".
std::string DriftTypeOf(std::string_view detector);

}  // namespace tinysphere::legacy
