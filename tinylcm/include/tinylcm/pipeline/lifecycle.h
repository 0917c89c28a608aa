// Lifecycle: does what the machine (adapt/machine.h) decides. It collects the quarantine, asks for
// labels, searches the input, judges challengers, serves and rolls back, and carries an adaptation
// over to a new bundle.
//
// It belongs to the control thread and never blocks the frame path: inference for searching,
// judging and shadowing runs on engines of its own. What it has decided survives a kill at any
// moment: effects first, then the record, so that after a restart an effect may come twice but
// never not at all.

#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/result.h"
#include "protocol/adaptation_report.h"
#include "protocol/drift_event.h"
#include "protocol/feedback.h"
#include "protocol/metrics.h"
#include "protocol/package.h"
#include "protocol/update_report.h"
#include "tinylcm/adapt/machine.h"
#include "tinylcm/adapt/quarantine.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/pipeline/bundle_swap.h"
#include "tinylcm/pipeline/concepts.h"
#include "tinylcm/pipeline/event_log.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/pipeline/keeping.h"
#include "tinylcm/pipeline/state_log.h"
#include "tinylcm/source/mask.h"
#include "tinylcm/state/snapshot_store.h"

namespace tinylcm::pipeline {

struct IntakeContext;  // feedback_intake.h

// Takes what is to leave the device. Called on the control thread; durable when it returns ok.
class Outbox {
 public:
  virtual ~Outbox() = default;
  virtual base::Status Send(std::string_view type, const std::string& bundle,
                            std::vector<protocol::PackageFile> files) = 0;
};

struct LifecycleOptions {
  adapt::Mode mode = adapt::Mode::kAutonomous;
  double false_alarm_every = 1e6;  // Samples.
  std::uint32_t commission = 300;  // Samples that only teach what is usual.
  base::Duration cycle{0};         // What is usual repeats after so long (a day); 0: it does not.
  std::uint32_t hold_back = 64;    // Samples that wait before they are learned from.
  std::optional<drift::AlarmRule> alarm{};  // One detector of the zoo instead of all evidence.
  std::uint32_t quarantine_samples = 300;
  std::uint32_t labels_per_event = 24;
  std::uint32_t probation_samples = 100;
  std::uint64_t patience_samples = 0;  // Inferences without labels until it escalates; 0: never.
  bool pseudo_labels = false;          // adapt/pseudo_labels.h.
  std::uint32_t health_frames = 100;   // Watched after a new bundle took over.
  bool send_images = false;            // Local consent.
  // Black in every picture that is kept or sent; the model sees the whole one.
  std::vector<source::MaskRegion> masks{};
  bool barcode = false;
  std::uint64_t seed = 1;
  std::string folder;  // quarantine/, snapshots/ and the record live below it.
};

base::Json ToJson(const drift::DriftMonitor::Standing& standing);

// What status shows.
struct LifecycleStatus {
  std::string state;  // The machine's, or "learning" while the live reference is commissioned.
  std::string mode;
  std::string hypothesis = "identity";
  std::string challenger = "none";
  std::uint64_t revision = 0;
  std::uint64_t labels_applied = 0;
  std::uint64_t adaptations = 0;
  std::uint64_t rollbacks = 0;
  std::uint64_t escalations = 0;
  double swap_gap_ms = 0.0;                      // Of the last bundle.
  std::optional<std::string> awaits;             // "labels" or "approval" of a person.
  std::optional<std::string> adaptation_sha256;  // Of what serves; none: the bundle alone.
  struct Proposed {
    std::string name;  // "row_gain + none".
    std::string adaptation_sha256;
  };
  std::optional<Proposed> proposed;            // Waits for a person's approval.
  std::vector<adapt::Transition> transitions;  // The machine's last 16, oldest first.
  drift::DriftMonitor::Standing drift;
  std::vector<EventSummary> events;
};

// Fills in what runs: bundle, name, version, family and labels.
void NameRunning(const model::ModelBundle& bundle, protocol::UpdateReport& report);

// Not thread-safe but for wants_frames().
class Lifecycle {
 public:
  struct Parts {
    base::FileSystem* fs = nullptr;
    base::Clock* clock = nullptr;
    base::Logger* logger = nullptr;
    Outbox* outbox = nullptr;
    model::EngineOpener open_engine;
    std::function<std::string()> make_id;  // Random hex; seeded in replay.
  };

  // Reads what an earlier life left and makes the frame path's first stage: `first_stage()`.
  static base::Result<std::unique_ptr<Lifecycle>> Open(
      const LifecycleOptions& options, Parts parts,
      std::shared_ptr<const model::ModelBundle> bundle);

  // The stage the frame path starts with, and the index of its first inference. Once.
  std::unique_ptr<Stage> TakeFirstStage();
  std::uint64_t first_index() const { return first_index_; }
  // REQUIRES: once, before anything below. `path` must outlive it.
  void Attach(FramePath& path) {
    path_ = &path;
    if (way_back_) path.Prepare(*way_back_->stage);
    live_revision_ = revision_;
    path.SetCycle(options_.cycle);
    Happened(adapt::ModeChanged{first_index_});  // Perhaps between two lives.
    UpdateWants();  // Whether it abstains was decided in an earlier life.
  }

  // True while frames are wanted whole (quarantine, probation, a new bundle's health window). May
  // be asked from any thread.
  bool wants_frames() const { return wants_frames_.load(); }

  // Every answered frame that was not dropped on the way; `seen.frame` may be empty when
  // wants_frames() was false.
  void OnSeen(const Seen& seen);

  // A person's labels or word. It is acknowledged once what it led to answers frames, or was
  // decided not to. Idempotent by feedback id: a second time it is only acknowledged again. An
  // Error is worth a retry; kUnavailable while a new bundle is being watched.
  base::Status OnFeedback(const protocol::Feedback& feedback);

  // The server wants so many samples of the event beyond those it was asked about, in all: what is
  // missing is sent, once, as a package `samples`. An Error is worth a retry.
  base::Status SendSamples(const std::string& event_id, std::uint32_t samples);

  // Swaps to another bundle: golden inputs, carry over, warm-up, exchange. The verdict comes after
  // the health window, through `done` (once): true: it stays; false: the old one runs again.
  using BundleDone = std::function<void(bool healthy, const protocol::UpdateReport& report)>;
  base::Status SwapBundle(std::shared_ptr<const model::ModelBundle> bundle,
                          const std::string& deployment_id, BundleDone done);
  bool swap_is_under_way() const { return swap_.has_value(); }

  // Serves what a snapshot holds (`tinylcm state rollback`). kInvalidArgument where it is another
  // bundle's.
  base::Status RollBackTo(const std::string& snapshot_id);

  // The newest drift event, as far as it is explained by now. `samples`: five that stand for what
  // was collected since, or those that labels were asked for.
  const std::optional<protocol::DriftEvent>& event() const { return event_; }
  const adapt::Quarantine& quarantine() const { return quarantine_; }
  // Of the newest event, the samples that labels were asked for and nobody labelled yet; empty once
  // the event is over.
  std::vector<const adapt::QuarantinedSample*> WantedSamples() const;

  base::Result<state::SnapshotStore::Listing> Snapshots() const {
    return keeping_.snapshots().List();
  }
  // Keeps what is served now, to go back to; returns the snapshot's id.
  base::Result<std::string> TakeSnapshot(const std::string& reason);

  // About once a second: makes durable what was collected, frees what is no longer served.
  void Tick();
  // Saves the drift reference too: at a clean stop, once a minute, and as soon as it was learned,
  // or a kill in its first minute would make a drifted stream the new normal.
  void SaveAll();

  LifecycleStatus status() const;
  // Fills in what runs and how it stands: bundle, mode, adaptation, state.
  void Describe(protocol::DeviceMetrics& metrics) const;
  void SetMode(adapt::Mode mode) {
    options_.mode = mode;
    machine_options_.mode = mode;
    if (path_ != nullptr) Happened(adapt::ModeChanged{last_index_});
    UpdateWants();
  }
  // What answers may be called: the bundle's classes, then those that people opened.
  std::vector<std::string> labels() const;
  const model::ModelBundle& bundle() const { return *bundle_; }
  const std::shared_ptr<const model::ModelBundle>& shared_bundle() const { return bundle_; }

 private:
  struct Swap {
    std::shared_ptr<const model::ModelBundle> old_bundle;
    std::unique_ptr<Serving> old_serving;  // Shadows.
    std::string deployment_id;
    BundleDone done;
    protocol::UpdateReport report;
    std::uint64_t first_revision = 0;
    HealthWatch watch;
  };

  Lifecycle(const LifecycleOptions& options, Parts parts,
            std::shared_ptr<const model::ModelBundle> bundle, Keeping keeping,
            adapt::Quarantine quarantine);

  std::uint64_t MonitorBelongsTo() const;
  base::Result<std::unique_ptr<Serving>> Make(
      const std::shared_ptr<const model::ModelBundle>& bundle, const adapt::Adaptation& adaptation,
      std::uint64_t revision) const;
  base::Status Restore();
  base::Status ReadRecord();
  void BeginAnew(const std::string& why);
  void Save();
  void UpdateWants();

  // What the bundle serves by itself.
  static adapt::AdaptationPtr BaseOf(const model::ModelBundle& bundle);
  adapt::MachineOptions MakeMachineOptions() const;
  // Tells the machine, and does what it says.
  void Happened(const adapt::MachineEvent& event);
  void Do(adapt::Actions actions);
  base::Status DoOne(const adapt::Action& action);
  void TryAgain();
  base::Status AskForLabels(const adapt::Action& action);
  base::Status SearchInput();
  base::Status Judge(const adapt::Action& action);
  base::Status Serve(const adapt::Action& action);
  base::Status Try(const adapt::Action& action);
  base::Status GoBack(const adapt::Action& action);
  void Refuse(const std::string& why);
  base::Status Report(const adapt::Action& action);
  base::Status SendReport(const protocol::AdaptationReport& report);
  void ReleaseReports();
  IntakeContext Intake() const;
  void RebaselineFromCollected();
  // A `model` package.
  struct Model {
    adapt::AdaptationPtr adaptation;
    std::string bundle;
    std::vector<protocol::PackageFile> files;
  };
  base::Status SendModel(const adapt::AdaptationPtr& committed);
  void SendUnsent();
  // The input could not be searched, the labels not be judged: the machine hears so.
  void FailedFor(const adapt::Action& action, const std::string& why);
  void JudgeAgain();
  adapt::AccuracyClaim AccuracySinceTheAlarm() const;
  // Known examples right under what is proposed, and under what serves.
  void MeasureProposed();
  void ForgetFigures();
  // A bundle whose head answers is only watched, whatever mode was asked for.
  adapt::Mode EffectiveMode() const {
    return bundle_->is_adaptable() ? options_.mode : adapt::Mode::kMonitoringOnly;
  }
  void SayIfNotAdaptable();

  // What serves in probation's place if it fails, warm: going back is one pointer exchange, and one
  // rename on the disk.
  struct WayBack {
    adapt::AdaptationPtr adaptation;
    std::unique_ptr<Stage> stage;
    Serving& serving() const { return *stage->serving; }
  };
  base::Result<WayBack> MakeWayBack() const;
  LifecycleRecord MakeRecord(const std::string& file) const;
  void SayIfKept();
  void SayServing(const char* what, const adapt::Adaptation& adaptation) const;
  base::Status PseudoLabel(const adapt::Action& action);
  base::Status Recognise();
  void Commit(const adapt::Action& action);

  // A snapshot of an adaptation of the bundle that runs.
  base::Result<std::string> Keep(const adapt::Adaptation& adaptation, const std::string& reason,
                                 bool is_proven = true);
  void SayIfFieldDiffers();
  void SayIfRuleIsBlind();
  void NoteAlarm(const Seen& seen);
  void Explain();
  void NameMedoids();
  void KeepEvent();
  void WatchHealth(const Seen& seen);
  void FinishSwap(bool healthy, const std::string& detail);
  base::Status Workbench();

  LifecycleOptions options_;
  Parts parts_;
  std::shared_ptr<const model::ModelBundle> bundle_;
  Keeping keeping_;
  adapt::Quarantine quarantine_;
  adapt::MachineOptions machine_options_;
  adapt::MachineState machine_;
  // status() is asked for often: of these it is known what they are called.
  struct Digested {
    adapt::AdaptationPtr adaptation;
    std::string digest;
    const std::string& Of(const adapt::AdaptationPtr& asked);
  };
  mutable Digested digest_of_served_, digest_of_proposed_;
  FramePath* path_ = nullptr;
  std::unique_ptr<Stage> first_stage_;
  std::unique_ptr<Serving> bench_;  // The bundle alone, for embedding off the frame path.
  Concepts concepts_;
  std::optional<WayBack> way_back_;  // During probation; shadows meanwhile.
  std::vector<Model> unsent_;        // Committed; the queue had no room.
  adapt::AdaptationPtr offered_;     // What answers, or will from the next frame on.
  double trial_distance_ = 0.0;      // Sum over the answers on trial.
  std::uint64_t trial_count_ = 0;
  std::optional<Swap> swap_;
  std::atomic<bool> wants_frames_{false};
  std::uint64_t first_index_ = 0;
  std::uint64_t reserved_index_ = 0;  // Indexes below it may have been used.
  std::uint64_t revision_ = 0;
  std::uint64_t labels_applied_ = 0;
  std::uint64_t adaptations_ = 0;
  std::uint64_t rollbacks_ = 0;
  std::uint64_t escalations_ = 0;
  double bundle_swap_gap_ms_ = 0.0;
  KeptAdapter previous_;               // Of the bundle before.
  std::deque<adapt::Action> pending_;  // To be done, in order.
  bool is_doing_ = false;
  std::vector<adapt::Action> waiting_;      // Could not be done yet; in order.
  std::vector<std::string> feedback_done_;  // The last ones, by id.
  std::vector<HeldReport> held_reports_;
  std::vector<SentSamples> sent_samples_;  // Of the last events.
  std::uint64_t live_revision_ = 0;        // Of the newest stage that answered a frame.
  bool frames_are_kept_as_they_are_ = false;
  std::optional<protocol::DriftEvent> event_;
  std::vector<EventSummary> events_;
  EventLog event_log_;
  base::Time alarm_time_{};  // Of event_.
  std::vector<protocol::AdaptationReport::Candidate> candidates_;
  std::string snapshot_;
  std::optional<double> canary_before_, canary_after_;
  std::optional<double> labels_before_, labels_after_;  // Shares right, of the event's labels.
  adapt::AdaptationPtr measured_;                       // What was proposed when this was measured:
  std::optional<double> proposed_before_, proposed_after_;  // ... the canary's shares.
  std::uint64_t probation_revision_ = 0;
  std::uint64_t last_index_ = 0;
  bool was_learning_ = true;
  base::Duration last_full_save_{0};
};

}  // namespace tinylcm::pipeline
