// Adapter: decides what happens next after an alarm. It touches nothing: it is told what happened
// and answers what to do; the pipeline does it and tells it the outcome.
//
//   stable --alarm--> suspect --enough samples--> adapting --served--> probation --> stable
//                                                  ^    |                  |
//                                               labels  nothing helps      worse
//                                                  |    v                  v
//                                                  +-- escalated      rolled_back --labels-->
//                                                  adapting
//
// autonomous: a corrected input is served before labels come; labels can veto it later.
// server_assisted: nothing is served before a person's labels. monitoring_only: nothing ever is.

#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/adapt/mode.h"

namespace tinylcm::adapt {

enum class AdapterState { kStable, kSuspect, kAdapting, kProbation, kRolledBack, kEscalated };
const char* Name(AdapterState state);  // "stable", "suspect", ...

// A person's verdict on a whole event.
enum class EventVerdict { kReal, kFalseAlarm, kExpected };
base::Result<EventVerdict> ParseEventVerdict(std::string_view name);  // "real", "false_alarm", ...

struct Feedback {
  std::string feedback_id;
  std::vector<Label> labels;
  std::vector<std::string> retract;  // Sample ids.
  std::optional<EventVerdict> verdict;
};

// What became of one label: goes into the `adaptation` package.
struct LabelFate {
  std::string sample_id;
  std::string feedback_id;
  std::string fate;  // "learned", "judged", "unknown_sample", "replaced", "retracted",
                     // "monitoring_only".
  friend bool operator==(const LabelFate&, const LabelFate&) = default;
};

enum class ActionKind {
  kBeginQuarantine,  // For `event_id`: start to collect.
  kAskForLabels,     // The quarantine is ready: send the event with the `labels` samples asked for.
  kSearchInput,      // Run an InputSearch over the quarantine, then OnInputSearched.
  kJudge,            // Judge() in the space of `adaptation.hypothesis`, then OnJudged.
  kServe,            // Snapshot what is served now, then serve `adaptation`.
  kRollBack,         // Serve `adaptation` again, from the snapshot taken before; byte-exact.
  kCommit,           // What is served stays: pack it as `model`.
  kRebaseline,       // The drift monitor's live reference begins anew.
  kReport,           // Send an `adaptation` package: `text`, and `fates` where labels came.
};
const char* Name(ActionKind kind);

struct Action {
  ActionKind kind = ActionKind::kReport;
  std::string event_id;
  std::uint32_t labels = 0;
  Adaptation adaptation;
  std::string text;
  std::string feedback_id;  // The feedback a report answers.
  std::vector<LabelFate> fates;
};
using Actions = std::vector<Action>;

// One sample as champion and challenger see it.
struct ProbationSample {
  float champion_distance = 0.0f;
  float champion_confidence = 0.0f;
  float challenger_distance = 0.0f;
  float challenger_confidence = 0.0f;
};

// Not thread-safe; plain values in and out, no clock: it counts samples.
class Adapter {
 public:
  struct Options {
    Mode mode = Mode::kAutonomous;
    bool has_pictures = false;               // Stage 1 exists.
    std::uint32_t quarantine_samples = 300;  // Then labels are asked for.
    std::uint32_t search_samples = 100;      // Then the input is searched (at most the above).
    std::uint32_t labels_asked = 24;
    std::uint64_t patience_samples = 0;  // Inferences without labels until escalation; 0: never.
    std::uint32_t probation_samples = 100;
    double probation_distance_max = 1.05;     // Worse only if farther than this...
    double probation_confidence_loss = 0.02;  // ...and this much less sure than the champion.
    double canary_loss_max = 0.01;            // For changes of the memory.
    double escalate_below = 0.7;              // Share of labels right under what is served.
  };

  struct State {
    AdapterState state = AdapterState::kStable;
    std::string event_id;
    std::uint64_t drift_index = 0;
    std::uint64_t waiting_since = 0;     // Sample index at which labels were asked for.
    std::uint64_t suppressed = 0;        // Alarms while busy, up to the last kAskForLabels.
    std::uint64_t suppressed_since = 0;  // And since then.
    bool is_searched = false;
    bool is_asked = false;
    bool labels_waiting = false;  // Labels are here and not judged yet.
    bool is_judged = false;       // What is served was chosen with labels.
    double labels_right = 1.0;    // Share of the labels right under what is served.
    std::string feedback_id;      // Whose labels are being judged.
    Adaptation served;
    Adaptation champion;  // What is gone back to from probation.
    Adaptation before;    // What was served before the event: a false alarm's way back.
    std::uint32_t probation_count = 0;
    double champion_distance = 0.0;  // Sums over the probation.
    double champion_confidence = 0.0;
    double challenger_distance = 0.0;
    double challenger_confidence = 0.0;
    std::vector<LabelFate> fates;  // Not reported yet.
  };

  // `bundle`: identity of the running bundle.
  Adapter(const Options& options, const std::string& bundle);

  // An alarm. `event_id` is made by the caller.
  Actions OnDrift(const std::string& event_id, std::uint64_t index);
  // A sample was taken into the quarantine, which now holds `count` of the current event.
  // `is_full`: it takes no more, by count or by bytes; what there is must do.
  Actions OnQuarantined(std::uint32_t count, std::uint64_t index, bool is_full = false);
  // Every inference, also quiet ones: for patience. Cheap.
  Actions OnSample(std::uint64_t index);
  // Answers kSearchInput.
  Actions OnInputSearched(const InputSearchResult& result);
  // A person's word. `known` tells which samples the quarantine holds.
  Actions OnFeedback(const Feedback& feedback, const std::map<std::string, Label>& labels_before,
                     const std::vector<std::string>& known);
  // Answers kJudge. `composed`: Compose() of the judgement.
  Actions OnJudged(const Judgement& judgement, const Adaptation& composed);
  // In probation: champion and challenger on the same sample.
  Actions OnProbation(const ProbationSample& sample);
  // Canary accuracy with and without the served memory, measured after kServe.
  Actions OnCanary(double accuracy_before, double accuracy_after);
  // Another bundle runs now, and this was carried over to it.
  void OnBundle(const Carried& carried);
  void SetMode(Mode mode) { options_.mode = mode; }

  AdapterState state() const { return state_.state; }
  const Adaptation& served() const { return state_.served; }
  const Adaptation& champion() const { return state_.champion; }
  const Options& options() const { return options_; }

  // For snapshots and restarts.
  const State& saved() const { return state_; }
  base::Bytes Save() const;
  base::Status Restore(base::ByteView bytes);  // On an error nothing changed.

 private:
  Actions Serve(const Adaptation& adaptation, const std::string& text);
  Actions RollBack(const Adaptation& to, const std::string& text);
  Actions Commit(const std::string& text);
  Action Report(const std::string& text);
  AdapterState AtRest() const;
  bool IsCollecting() const { return !state_.event_id.empty() && !state_.is_asked; }

  Options options_;
  State state_;
};

}  // namespace tinylcm::adapt
