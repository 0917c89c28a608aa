// Keeping: what a lifecycle writes down, so that a kill at any moment costs nothing.
//
// Picture a desk with one notebook (the record, two copies of it) and a drawer of sealed envelopes:
// each adapter state lies in a file named by its digest and is written before the notebook names
// it. What the notebook no longer names is thrown away. While something is on trial the page that
// would be written if it failed lies ready beside it, so that going back is one rename.
//
// Disk: FOLDER/lifecycle.a|b|next, adapter-*.bin, drift.bin, snapshots/;
// docs/formats/device_state.md.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/logger.h"
#include "base/result.h"
#include "protocol/adaptation_report.h"
#include "protocol/drift_event.h"
#include "tinylcm/adapt/quarantine.h"
#include "tinylcm/drift/drift_monitor.h"
#include "tinylcm/pipeline/event_log.h"
#include "tinylcm/state/record.h"
#include "tinylcm/state/snapshot_store.h"

namespace tinylcm::pipeline {

// An adapter's state and whose it is; the one of the bundle before is kept, so that going back
// brings both back.
struct KeptAdapter {
  std::string bundle;
  std::string file;
  friend bool operator==(const KeptAdapter&, const KeptAdapter&) = default;
};

// An acknowledgement that waits until what the feedback led to answers frames.
struct HeldReport {
  std::uint64_t revision = 0;  // Of the stage.
  protocol::AdaptationReport report;
  friend bool operator==(const HeldReport&, const HeldReport&) = default;
};

// How many samples beyond its question the server was sent of an event.
struct SentSamples {
  std::string event_id;
  std::uint32_t samples = 0;
  friend bool operator==(const SentSamples&, const SentSamples&) = default;
};

struct LifecycleRecord {
  std::uint64_t reserved_index = 0;  // Indexes below it may have been used.
  std::uint64_t revision = 0;
  std::uint64_t labels_applied = 0;
  std::uint64_t adaptations = 0;
  std::uint64_t rollbacks = 0;
  std::uint64_t escalations = 0;
  double swap_gap_ms = 0.0;
  std::vector<std::string> feedback_done;  // Ids, oldest first.
  std::optional<std::string> ask_again;    // An event whose question has not left yet.
  std::optional<protocol::DriftEvent> event;
  std::vector<EventSummary> events;
  std::vector<HeldReport> held_reports;
  std::vector<SentSamples> sent_samples;
  std::vector<KeptAdapter> adapters;  // At most two.
};
base::Json ToJson(const LifecycleRecord& record);
base::Result<LifecycleRecord> ParseLifecycleRecord(std::string_view json);

// Not thread-safe.
class Keeping {
 public:
  // `fs` and `logger` must outlive it. What cannot be read is set aside (NAME.damaged) and begun
  // anew.
  static base::Result<Keeping> Open(base::FileSystem& fs, base::Logger& logger,
                                    const std::string& folder);
  // The same for the quarantine in that folder.
  static base::Result<adapt::Quarantine> OpenQuarantine(base::FileSystem& fs, base::Logger& logger,
                                                        const std::string& folder,
                                                        std::uint32_t samples_max);

  // The record of an earlier life; nullopt where there is none.
  const std::optional<base::Bytes>& record() const { return record_.value(); }

  // Durable when it returns ok; then the adapter files it does not name are removed.
  base::Status Write(const LifecycleRecord& record);

  // Makes ready what holds if what is on trial fails: the record as it is then, of which the first
  // adapter is `state`; its file is filled in. Any Write makes it void.
  base::Status PrepareWayBack(LifecycleRecord record, base::ByteView state);
  // It failed: what was prepared holds, by one rename. kNotFound where nothing is ready: then a
  // Write must do.
  base::Status TurnBack();
  // Nothing is on trial any more; the next Write throws away what lay ready.
  void DropWayBack();

  // The state of the adapter that runs, into a file named by its digest; written only when it is
  // another than the last. Returns the file's name.
  base::Result<std::string> KeepAdapter(base::ByteView state);
  base::Result<base::Bytes> ReadAdapter(const std::string& file) const;
  // Says that `file` holds `state` already: a start should wait for the disk as seldom as it can.
  void AdapterIs(const std::string& file, base::Bytes state);

  // The drift monitor's state; `belongs_to`: of which reference it is. What does not fit, or cannot
  // be read, is said once, and the monitor stays as it is.
  void RestoreDrift(drift::DriftMonitor& monitor, std::uint64_t belongs_to);
  base::Status SaveDrift(base::ByteView state);

  state::SnapshotStore& snapshots() { return snapshots_; }
  const state::SnapshotStore& snapshots() const { return snapshots_; }

 private:
  Keeping(base::FileSystem& fs, base::Logger& logger, std::string folder,
          state::TwoCopyRecord record, state::SnapshotStore snapshots);

  base::FileSystem* fs_;
  base::Logger* logger_;
  std::string folder_;
  state::TwoCopyRecord record_;
  state::SnapshotStore snapshots_;
  base::Status WriteAdapter(const std::string& file, base::ByteView state) const;
  void RemoveUnnamed(const std::vector<KeptAdapter>& adapters) const;

  std::string adapter_file_;    // Where the running adapter's state is kept,
  base::Bytes adapter_bytes_;   // ... and what it holds.
  std::string way_back_file_;   // The same of what would hold if the trial failed.
  base::Bytes way_back_bytes_;  // Empty: none is ready.
};

}  // namespace tinylcm::pipeline
