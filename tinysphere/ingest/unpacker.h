// Unpacker: turns a stored package into what the server knows: events, samples, figures, reports,
// parts of the log, pictures, sketches.
//
//   packages/<key> ──read once──▶ documents ─┐
//                        └─▶ pictures, lines ─┴▶ object store ──▶ rows, and the job is done
//
// The archive is read as a stream, once where what is to be put elsewhere fits into a few
// megabytes, else once for its documents and once more for that. Nothing is ever extracted to a
// tree. Packages that wait are taken some at a time: their rows are committed together, so that one
// flush of the disk pays for all of them. Everything is idempotent, for a worker may die at any
// point and the job comes back.

#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "protocol/metrics.h"
#include "tinysphere/adaptation/adaptations.h"
#include "tinysphere/drifthub/drift_hub.h"
#include "tinysphere/feedback/feedbacks.h"
#include "tinysphere/http/events.h"
#include "tinysphere/registry/learned_versions.h"
#include "tinysphere/rollout/rollouts.h"
#include "tinysphere/series/log_parts.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"
#include "tinysphere/store/queue.h"

namespace tinysphere::ingest {

// All must outlive the Unpacker.
struct UnpackerParts {
  store::Database& database;
  store::ObjectStore& objects;
  store::Queue& queue;
  base::Clock& clock;
  http::EventHub& events;
  drifthub::DriftHub& hub;
  feedback::Feedbacks& feedbacks;
  adaptation::Adaptations& adaptations;
  registry::LearnedVersions& learned_versions;
  rollout::Rollouts& rollouts;
  series::LogParts& log_parts;
};

// How many packages are committed together at most.
inline constexpr std::size_t kUnpackedTogether = 16;

// May be used from several threads.
class Unpacker {
 public:
  explicit Unpacker(const UnpackerParts& parts) : parts_(parts) {}

  // Does the jobs and completes them; the i-th status is that of the i-th job. An error says
  // whether it is the package's fault for ever or may pass (store::FailingOf).
  std::vector<base::Status> UnpackSome(std::span<const store::Job> jobs);
  base::Status Unpack(const store::Job& job) { return UnpackSome({&job, 1}).front(); }

  // Called after the commit, for each package of figures. At most one; before the first job.
  using Measured =
      std::function<void(const std::string& device_id, const protocol::DeviceMetrics&)>;
  void OnMeasured(Measured measured) { measured_ = std::move(measured); }

  // The packages whose job was set aside say so, with the reason: because it failed too often, or
  // because the worker died at every attempt and nobody was left to say it.
  base::Status MarkSetAside(base::Time now);
  // A person wants it tried once more. kConflict if it was not set aside.
  base::Status Retry(const std::string& package_id, base::Time now);
  // Everything that was set aside, of one device or of all (""); gives how many.
  base::Result<std::int64_t> RetryAll(const std::string& device_id, const std::string& by,
                                      base::Time now);
  // The steps of a package, in order: "read" (the archive is whole and understood), "keep" (what
  // lies elsewhere is there), "record" (the rows are committed).
  // Which step of its package this process is at; "" where it works on none of that name.
  std::string StepOf(const std::string& package_id) const;

 private:
  struct Documents;
  struct Package;
  struct Unpacked;

  base::Result<Unpacked> Read(const store::Job& job);
  base::Status Write(std::span<Unpacked* const> packages);
  base::Status Store(store::Transaction& transaction, const Unpacked& unpacked);
  base::Status KeepAdaptation(const Package& package, Documents& documents,
                              std::map<std::string, std::string>& keys);
  base::Status NameSamples(Unpacked& unpacked, std::map<std::string, std::string>& keys);
  base::Status NameImages(Unpacked& unpacked, std::map<std::string, std::string>& keys);
  void Tell(const Unpacked& unpacked);
  void Enter(const std::string& package_id, std::string step);
  void Leave(const std::string& package_id);
  void NoteFailure(const std::string& package_id, const std::string& reason);

  UnpackerParts parts_;
  Measured measured_;
  mutable std::mutex mutex_;
  std::map<std::string, std::string> steps_;  // Of the packages under way.
};

}  // namespace tinysphere::ingest
