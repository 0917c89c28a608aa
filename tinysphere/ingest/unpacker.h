// Unpacker: turns a stored package into what the server knows: events, samples, figures, reports.
//
// The archive is read as a stream, twice: first its documents, then, where they name pictures or
// features, those, straight into the object store. Nothing is ever extracted to a tree. Everything
// is idempotent, for a worker may die at any point and the job comes back.

#pragma once

#include <map>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/adaptation/adaptations.h"
#include "tinysphere/drifthub/drift_hub.h"
#include "tinysphere/feedback/feedbacks.h"
#include "tinysphere/http/events.h"
#include "tinysphere/registry/learned_versions.h"
#include "tinysphere/rollout/rollouts.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::ingest {

// May be used from several threads.
class Unpacker {
 public:
  // All must outlive it.
  Unpacker(store::Database& database, store::ObjectStore& objects, store::Queue& queue,
           http::EventHub& events, drifthub::DriftHub& hub, feedback::Feedbacks& feedbacks,
           adaptation::Adaptations& adaptations, registry::LearnedVersions& learned_versions,
           rollout::Rollouts& rollouts)
      : database_(database),
        objects_(objects),
        queue_(queue),
        events_(events),
        hub_(hub),
        feedbacks_(feedbacks),
        adaptations_(adaptations),
        learned_versions_(learned_versions),
        rollouts_(rollouts) {}

  // Does the job and completes it. An error says whether it is the package's fault for ever
  // (IsHopeless) or may pass.
  base::Status Unpack(const store::Job& job);
  static bool IsHopeless(base::ErrorCode code);

  // The packages whose job was set aside say so, with the reason: because it failed too often, or
  // because the worker died at every attempt and nobody was left to say it.
  base::Status MarkSetAside(base::Time now);
  // A person wants it tried once more. kConflict if it was not set aside.
  base::Status Retry(const std::string& package_id, base::Time now);

 private:
  struct Documents;
  struct Package;

  base::Status Store(store::Transaction& transaction, const Package& package,
                     const Documents& documents,
                     const std::vector<drifthub::StoredSample>& samples);
  base::Result<std::vector<drifthub::StoredSample>> StoreMedia(const Package& package,
                                                               Documents& documents);
  base::Status KeepAdaptation(const Package& package, Documents& documents,
                              std::map<std::string, std::string>& keys);
  void Tell(const Package& package, const Documents& documents);

  store::Database& database_;
  store::ObjectStore& objects_;
  store::Queue& queue_;
  http::EventHub& events_;
  drifthub::DriftHub& hub_;
  feedback::Feedbacks& feedbacks_;
  adaptation::Adaptations& adaptations_;
  registry::LearnedVersions& learned_versions_;
  rollout::Rollouts& rollouts_;
};

}  // namespace tinysphere::ingest
