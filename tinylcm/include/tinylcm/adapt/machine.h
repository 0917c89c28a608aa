// Machine: decides what happens next after an alarm. A pure function: it is given where things
// stand and what happened, and gives where they stand then and what is to be done. The pipeline
// does it and tells the machine the outcome as the next event.
//
//   stable --alarm--> suspect --enough samples--> adapting --served--> probation --> stable
//                                                  ^    |                  |
//                                               labels  nothing helps      worse
//                                                  |    v                  v
//                                                  +-- escalated      rolled_back --labels-->
//                                                  adapting
//
// autonomous: what was met before, or a corrected input, is served before labels come; labels can
// veto it later. server_assisted: whatever would be served is proposed, and served once a person
// approves. monitoring_only: nothing ever is, but it can still be gone back. Where nothing is found
// without labels and it is not sure that half of the answers are right, it escalates: labels are
// asked for at once, and answers of little confidence are held back.
//
// No clock: it counts samples. Every change of state is logged with its reason.

#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/adapt/feedback.h"
#include "tinylcm/adapt/gate.h"
#include "tinylcm/adapt/mode.h"

namespace tinylcm::adapt {

enum class AdaptState { kStable, kSuspect, kAdapting, kProbation, kRolledBack, kEscalated };
const char* Name(AdaptState state);  // "stable", "suspect", ...

// What serves may have megabytes (a flat field); it is never copied from state to state.
using AdaptationPtr = std::shared_ptr<const Adaptation>;

// SHA-256 (hex) of its serialised bytes: what people and servers call it by.
std::string DigestOf(const Adaptation& adaptation);
// The same answers for every input, whatever it was learned from.
bool ServesTheSame(const Adaptation& a, const Adaptation& b);

struct Transition {
  std::uint64_t index = 0;  // Of the sample at which it happened.
  AdaptState from = AdaptState::kStable;
  AdaptState to = AdaptState::kStable;
  std::string why;
  friend bool operator==(const Transition&, const Transition&) = default;
};

struct MachineOptions {
  Mode mode = Mode::kAutonomous;
  bool is_adaptable = true;                // A bundle whose head answers is only watched.
  std::uint32_t concept_samples = 24;      // Then it is asked whether this was met before.
  std::uint32_t search_samples = 100;      // Then the input is searched.
  std::uint32_t quarantine_samples = 300;  // Then labels are asked for.
  std::uint32_t labels_asked = 24;
  std::uint64_t patience_samples = 0;  // Inferences without labels until escalation; 0: never.
  std::uint32_t probation_samples = 100;
  TrialRule trial = {};
  CanaryRule canary = {};          // For changes of the memory.
  double accuracy_at_least = 0.5;  // Surely right answers, where nothing helps without labels.
  double escalate_below = 0.7;     // Share of labels right under what is served.
  // What models say themselves is served where nothing else helps and no person has spoken yet
  // (pseudo_labels.h); autonomous only. It goes when labels come, and so many samples after the
  // alarm.
  bool pseudo_labels = false;
  std::uint64_t pseudo_life = 5000;
};

// Where things stand. A plain value; the adaptations are never null but for `proposed`.
struct MachineState {
  static constexpr std::size_t kLogMax = 64;

  AdaptState state = AdaptState::kStable;
  std::string event_id;  // Empty: none is open.
  std::uint64_t drift_index = 0;
  std::uint64_t waiting_since = 0;     // Sample index at which labels were asked for.
  std::uint64_t suppressed = 0;        // Alarms while busy, up to the last kAskForLabels.
  std::uint64_t suppressed_since = 0;  // And since then.
  bool is_collecting = false;
  bool is_recognised = false;  // Asked whether it was met before.
  bool is_searched = false;
  bool is_asked = false;
  bool is_changed = false;      // What serves was chosen for this event.
  bool is_unsure = false;       // The accuracy gate held nothing; until labels were judged.
  bool labels_waiting = false;  // Labels are here and not judged yet.
  bool is_interrupted = false;  // They came while something was on trial.
  bool is_judged = false;       // What is served was chosen with labels.
  bool is_provisional = false;  // They were judged before all samples were collected.
  bool is_told_right = false;   // By far more labels than before are right under what serves.
  bool is_replacing = false;    // What serves took the place of another one on trial.
  double labels_right = 1.0;    // Share of the labels right under what is served.
  double labels_gain = 0.0;     // Of them, not right under the bundle alone.
  std::string feedback_id;      // Whose labels are being judged.
  AdaptationPtr base;           // The bundle by itself. Not saved: the bundle tells it.
  AdaptationPtr served;
  AdaptationPtr champion;  // What is gone back to from probation.
  AdaptationPtr before;    // What was served before the event: a false alarm's way back.
  AdaptationPtr proposed;  // Waits for a person's approval; null: nothing does.
  std::string proposed_why;
  Trial trial;
  std::vector<LabelFate> fates;  // Not reported yet.
  std::vector<Transition> log;   // The last kLogMax, oldest first.
  std::uint64_t log_count = 0;   // Ever.
  std::uint64_t log_told = 0;    // Of these, how many a report has carried.

  // Nothing has happened yet; `base` is what the bundle by itself serves.
  static MachineState Fresh(AdaptationPtr base);

  // What it needs a person for: "labels", "approval", or nothing.
  std::optional<std::string> awaits() const;
  // Answers of little confidence are held back.
  bool is_abstaining() const { return state == AdaptState::kEscalated; }
  // Transitions that no report has carried yet.
  std::vector<Transition> untold() const;
};

// Bytes for a file, versioned and checksummed; what was read is written back the same.
base::Bytes Serialise(const MachineState& state);
// `base`: of the bundle that runs; kConflict where the state is another bundle's. Version 1 (of the
// adapter before) is read: a trial begins anew in it.
base::Result<MachineState> ParseMachineState(base::ByteView bytes, AdaptationPtr base);

// ---- What happens -----------------------------------------------------------------------------

// An alarm. The caller makes the id.
struct Alarm {
  std::string event_id;
  std::uint64_t index = 0;
  std::optional<double> log10_e;  // Evidence, and what it is measured by.
  std::optional<double> target_samples;
};
// A sample was taken into the quarantine, which now holds `count` of the current event. `is_full`:
// it takes no more, by count or by bytes; what there is must do.
struct Collected {
  std::uint64_t index = 0;
  std::uint32_t count = 0;
  bool is_full = false;
};
// Inferences went by; for patience.
struct Passed {
  std::uint64_t index = 0;
};
// Answers kRecognise, tried in the shadow. Null: nothing known is there again.
struct Recognised {
  std::uint64_t index = 0;
  AdaptationPtr adaptation;
  std::string why;
};
// Answers kPseudoLabel. Null: no cluster is believed.
struct PseudoLabelled {
  std::uint64_t index = 0;
  AdaptationPtr adaptation;
  std::string why;
};
// Answers kSearchInput. `accuracy`: of what serves, since the alarm.
struct Searched {
  std::uint64_t index = 0;
  InputSearchResult result;
  AccuracyClaim accuracy;
};
// A person's word; labels and retractions are in the quarantine already. `settled`: fates that the
// judge has no say in; feedback.labels and feedback.retract hold only what was taken in.
struct Told {
  std::uint64_t index = 0;
  Feedback feedback;
  std::vector<LabelFate> settled;
};
// Answers kJudge.
struct Judged {
  std::uint64_t index = 0;
  JudgeFigures figures;
  AdaptationPtr composed;  // What the judge would serve.
};
// In probation: champion and challenger on the same sample.
struct Shadowed {
  std::uint64_t index = 0;
  ProbationSample sample;
};
// Canary accuracy with what serves and with what did before; measured after kServe.
struct CanaryMeasured {
  std::uint64_t index = 0;
  double before = 0.0;
  double after = 0.0;
  std::uint32_t count = 0;  // Samples.
};
// kServe could not be done (a full disk while the snapshot was taken): it serves as before.
struct ServeRefused {
  std::uint64_t index = 0;
  std::string why;
};
// Another bundle runs, and this was carried over to it. `base`: of the new bundle.
struct BundleTookOver {
  std::uint64_t index = 0;
  AdaptationPtr carried;
  AdaptationPtr base;
  std::string why;
};
// The mode is another one now. What was proposed or asked for is not waited for any more where
// nothing may be changed.
struct ModeChanged {
  std::uint64_t index = 0;
};
// A person went back to a snapshot on the device itself; it serves already.
struct SnapshotRestored {
  std::uint64_t index = 0;
  AdaptationPtr adaptation;
  std::string why;
};

using MachineEvent = std::variant<Alarm, Collected, Passed, Recognised, PseudoLabelled, Searched,
                                  Told, Judged, Shadowed, CanaryMeasured, ServeRefused,
                                  BundleTookOver, SnapshotRestored, ModeChanged>;

// ---- What is to be done -----------------------------------------------------------------------

enum class ActionKind {
  kBeginQuarantine,  // For `event_id`: start to collect.
  kRecognise,        // Was this met before? Then Recognised.
  kSearchInput,      // Try the hypotheses about the input over the quarantine, then Searched.
  kPseudoLabel,      // Are there clusters to believe? Then PseudoLabelled.
  kAskForLabels,     // Send the event with the `labels` samples asked for.
  kJudge,            // Judge() in the space of `adaptation->hypothesis`, then Judged.
  kServe,            // Snapshot what is served now, then serve `adaptation`; then CanaryMeasured.
  kRollBack,         // Serve `adaptation` again, as it was before; byte-exact.
  kCommit,           // What is served stays, for `event_id`: pack it as `model`.
  kRebaseline,       // The drift monitor's live reference begins anew.
  kReport,           // Send an `adaptation` package: `text`, and what else is filled in.
};
const char* Name(ActionKind kind);

struct Action {
  ActionKind kind = ActionKind::kReport;
  std::string event_id;
  std::uint32_t labels = 0;
  AdaptationPtr adaptation;
  std::string text;
  std::string feedback_id;  // The feedback a report answers.
  std::vector<LabelFate> fates;
  std::vector<OrderFate> orders;
  // kRebaseline: a person said that the stream as it is now is as it should be; what was collected
  // since the alarm is what is usual.
  bool from_collected = false;
};
using Actions = std::vector<Action>;

struct Step {
  MachineState state;
  Actions actions;
};

Step Next(const MachineOptions& options, MachineState state, const MachineEvent& event);

// Where going back from probation leads, without its actions: for a way back that is prepared.
MachineState RolledBack(MachineState state, std::uint64_t index, const std::string& why);
// A report with the transitions in it was sent, or queued for good.
MachineState ToldAll(MachineState state);

}  // namespace tinylcm::adapt
