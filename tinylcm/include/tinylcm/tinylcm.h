// TinyLCM in your own program. A Device answers samples, notices without labels that the world has
// changed, asks for a few labels, and repairs itself as far as that can be undone.
//
//   row, picture ->  Process      -> Answer                     on_prediction, on_metrics
//                       |
//                       +-> the world has changed               on_warning, on_drift, NextDrift()
//                       +-> a person should look at these       on_labels_wanted, Wanted()
//   labels ------->  ApplyLabels  -> judged, served, or not     on_adaptation
//
// It has no threads and no network: your thread does the work, inside the call you make. Everything
// it must not forget lies in its state folder, so a killed program goes on where it was.
//
// Threads: a Device belongs to one thread at a time. Two Devices share nothing that needs a lock,
// so each may have its own thread. Callbacks run on the thread that made the call, before it
// returns and after the device's own work for it is done.
//
// Cost: Process does not allocate once warm while all is quiet, and costs little beside the model
// (docs/guides/library.md has the figures). While a drift is being looked into, single calls take
// longer: a quarantined sample is written to disk, and the call that completes the evidence, or
// brings labels, runs the model over all of it.

#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"
#include "tinylcm/adapt/mode.h"
#include "tinylcm/drift/signal.h"
#include "tinylcm/source/frame.h"

namespace base {
class FileSystem;
class Logger;
}  // namespace base

namespace protocol {
struct AdaptationReport;  // protocol/adaptation_report.h
struct DeviceMetrics;     // protocol/metrics.h
struct DriftEvent;        // protocol/drift_event.h
}  // namespace protocol

namespace tinylcm {

// "0.1.0": of the library that was linked.
const char* Version();

// What was answered for one sample.
struct Answer {
  std::uint64_t index = 0;       // Which inference of this device; goes on across restarts.
  std::string_view label;        // One of labels(), or "unknown". Valid as long as the device is.
  float confidence = 0.0f;       // Calibrated by the bundle, 0..1.
  float distance = 0.0f;         // To the known examples: what drift is watched by.
  std::span<const float> share;  // Of each of labels(), adding up to 1. Until the next Process.
  std::string_view truth;        // As given; of a window of rows, what most of them had. The same.
  drift::DriftSignal signal = drift::DriftSignal::kLearning;
  std::uint64_t adaptation = 0;  // Which adaptation answered; 0: the bundle alone.
  double total_us = 0.0;         // What the answer took.
};

// A sample that a person should name.
struct WantedSample {
  std::string sample_id;
  std::uint64_t index = 0;  // Answer::index of then.
  std::string prediction;   // What was answered then.
  float confidence = 0.0f;
  std::vector<float> row;  // Rows: as it came in, or what the window made of them.
  base::Bytes picture;     // Pictures: JPEG or PNG; empty where it can no longer be read.
};

struct WantedLabels {
  std::string event_id;
  std::vector<WantedSample> samples;  // The largest group of like samples first.
};

// A person's word on one sample: one of labels(), or the name of a class that is to be opened.
struct SampleLabel {
  std::string sample_id;
  std::string label;
  bool opens_class = false;
};

// A person's word on a whole event.
enum class EventVerdict { kReal, kFalseAlarm, kExpected };

struct Snapshot {
  std::string id;
  base::Time created{};
  std::string reason;
};

struct DeviceStatus {
  std::string state;           // learning stable suspect adapting probation rolled_back escalated
  std::string mode;            // autonomous server_assisted monitoring_only
  std::string hypothesis;      // What is done to the input now: "identity", "flat_field", ...
  std::string challenger;      // What is done to the features now: "none", ...
  std::uint64_t answered = 0;  // By this object.
  std::uint64_t skipped = 0;   // Bad input, answered with an Error.
  std::uint64_t alarms = 0;
  std::uint64_t drifts_dropped = 0;  // Events that NextDrift() was too late for.
  std::uint64_t labels_applied = 0;  // From here on, of the state folder's whole life.
  std::uint64_t adaptations = 0;
  std::uint64_t rollbacks = 0;
  std::uint64_t escalations = 0;
};

// Not thread-safe: see above.
class Device {
 public:
  struct Options {
    std::string bundle;  // What `tinylcm fit` or `tinylcm bundle make` wrote: folder or .tar.zst.
    // FILE.pub; then the bundle must be a .tar.zst signed by it. Empty: its digests only.
    std::string publisher_key{};
    std::string state;  // A folder of this device's own; made if need be. One Device at a time.
    adapt::Mode mode = adapt::Mode::kAutonomous;
    double false_alarm_every = 1e6;          // Samples between false alarms, on average.
    std::uint32_t commission_samples = 300;  // Teach what is usual here; nothing is watched yet.
    // What is usual repeats after so long, by the clock: a day where it gets dark. 0: it does not.
    base::Duration cycle{0};
    std::uint32_t quarantine_samples = 300;  // Looked at after an alarm, before labels are asked.
    std::uint32_t labels_per_event = 24;     // Asked for at most.
    std::uint64_t seed = 1;                  // Same stream and seed, same answers.

    std::function<void(const Answer&)> on_prediction{};
    // The evidence has reached a tenth of what an alarm takes, or the device was opened with a
    // drift unsettled. Said when it begins, not for every sample, and not for the drift that
    // on_drift has just told. Most pass: quiet times bring about ten warnings to one false alarm.
    std::function<void(const Answer&)> on_warning{};
    std::function<void(const protocol::DriftEvent&)> on_drift{};
    std::function<void(const WantedLabels&)> on_labels_wanted{};
    std::function<void(const protocol::AdaptationReport&)> on_adaptation{};
    std::function<void(const protocol::DeviceMetrics&)> on_metrics{};
    base::Duration metrics_every{60'000};

    // What the world is; null: the machine's. They must outlive the device. Where a file system is
    // given, the state folder is not locked against other processes.
    base::FileSystem* fs = nullptr;
    base::Clock* clock = nullptr;
    base::Logger* logger = nullptr;  // Null: nothing is said.
    // Housekeeping (syncing, freeing) is done once a second. A replay that must repeat exactly does
    // it every so many samples instead; 0: by the clock.
    std::uint32_t housekeeping_samples = 0;
    // Names of events and feedback, unique in the fleet; empty: random.
    std::function<std::string()> make_id{};
  };

  // kNotFound, kCorrupt, kUnsupported, kPermissionDenied: the bundle. kConflict: another device
  // runs on the state folder. kUnavailable: the model's runtime library is not there. Damaged state
  // is no error: it is set aside, said to the logger, and learned anew.
  static base::Result<Device> Open(Options options);

  Device(Device&&) noexcept;
  Device& operator=(Device&&) noexcept;
  ~Device();  // Saves. Never from within a callback.

  // Answers one sample. An Error names what was wrong with it; it is counted in status().skipped
  // and nothing else has seen it. Nothing (nullopt): the bundle classifies windows of rows, and
  // this row did not complete one. `truth`: the right label where you know it, to compare with; the
  // device does not look at it.
  base::Result<std::optional<Answer>> Process(std::span<const float> row,
                                              std::string_view truth = {});
  base::Result<std::optional<Answer>> Process(const source::PictureView& picture,
                                              std::string_view truth = {});

  // The oldest drift event that was not taken yet, as it was known at its alarm. For programs that
  // would rather ask than be called; the newest 64 are kept.
  std::optional<protocol::DriftEvent> NextDrift();
  // The newest event as it is explained by now: an explanation sharpens for some hundred samples.
  std::optional<protocol::DriftEvent> LastDrift() const;
  // What should be labelled now; it stays after a restart, until it is labelled or superseded.
  std::optional<WantedLabels> Wanted() const;

  // Labels for wanted samples. kInvalidArgument, and nothing is applied, for a sample that is not
  // in quarantine or a label that is not one of labels() and opens no class. In monitoring_only
  // labels change nothing. What came of them is told (on_adaptation) once it has answered a sample.
  base::Status ApplyLabels(std::span<const SampleLabel> labels);
  // Takes labels back, and with them what they taught. kInvalidArgument for one never given.
  base::Status RetractLabels(std::span<const std::string> sample_ids);
  // kFalseAlarm: what was changed for it is undone; kExpected: it stays. Either way the stream as
  // it is now becomes what is usual. kNotFound unless it is the newest event.
  base::Status ApplyVerdict(const std::string& event_id, EventVerdict verdict);

  void SetMode(adapt::Mode mode);

  // Snapshots are also taken before every change. Oldest first.
  base::Result<std::vector<Snapshot>> Snapshots() const;
  base::Result<std::string> TakeSnapshot(const std::string& reason);
  // Serves what a snapshot holds. kNotFound; kInvalidArgument where it is another bundle's.
  base::Status RollBackTo(const std::string& snapshot_id);

  // For times without samples: housekeeping, and on_metrics if it is due. Process does both itself.
  void Tick();
  // Makes everything durable now, the drift reference too. Done by itself once a minute and at the
  // end.
  void Save();

  // What an answer may be called: the bundle's classes, then those that people opened.
  std::vector<std::string> labels() const;
  bool takes_pictures() const;
  std::string_view bundle() const;  // Its identity: SHA-256 of its manifest.
  DeviceStatus status() const;
  protocol::DeviceMetrics Metrics();  // Begins a new window, as on_metrics does.

 private:
  struct Impl;
  explicit Device(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace tinylcm
