#include "tinylcm/adapt/machine.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <utility>

#include "base/crypto.h"
#include "base/text.h"
#include "tinylcm/adapt/pseudo_labels.h"
#include "tinylcm/adapt/retract.h"
#include "tinylcm/src/adapt/adaptation_wire.h"

namespace tinylcm::adapt {

using base::Bytes;
using base::ByteView;
using base::Error;
using base::ErrorCode;
using base::FormatShort;
using base::Result;
using base::StrCat;
using state::WireReader;
using state::WireWriter;

namespace {

constexpr std::array<std::uint8_t, 4> kMagic = {'T', 'L', 'C', 'D'};
constexpr std::uint32_t kVersion = 3;
constexpr std::uint8_t kNone = 0xff;  // Of the adaptations: nothing is proposed.

}  // namespace

const char* Name(Mode mode) {
  switch (mode) {
    case Mode::kAutonomous:
      return "autonomous";
    case Mode::kServerAssisted:
      return "server_assisted";
    case Mode::kMonitoringOnly:
      return "monitoring_only";
  }
  return "unknown";
}

Result<Mode> ParseMode(std::string_view name) {
  for (const Mode mode : {Mode::kAutonomous, Mode::kServerAssisted, Mode::kMonitoringOnly}) {
    if (name == Name(mode)) return mode;
  }
  return Error{ErrorCode::kInvalidArgument,
               StrCat("mode: ", name, ": autonomous, server_assisted or monitoring_only")};
}

Result<EventVerdict> ParseEventVerdict(std::string_view name) {
  if (name == "real") return EventVerdict::kReal;
  if (name == "false_alarm") return EventVerdict::kFalseAlarm;
  if (name == "expected") return EventVerdict::kExpected;
  return Error{ErrorCode::kInvalidArgument,
               StrCat("verdict: ", name, ": real, false_alarm or expected")};
}

const char* Name(Order order) {
  switch (order) {
    case Order::kApprove:
      return "approve";
    case Order::kReject:
      return "reject";
    case Order::kRollBack:
      return "roll_back";
  }
  return "unknown";
}

const char* Name(AdaptState state) {
  switch (state) {
    case AdaptState::kStable:
      return "stable";
    case AdaptState::kSuspect:
      return "suspect";
    case AdaptState::kAdapting:
      return "adapting";
    case AdaptState::kProbation:
      return "probation";
    case AdaptState::kRolledBack:
      return "rolled_back";
    case AdaptState::kEscalated:
      return "escalated";
  }
  return "unknown";
}

const char* Name(ActionKind kind) {
  switch (kind) {
    case ActionKind::kBeginQuarantine:
      return "begin_quarantine";
    case ActionKind::kRecognise:
      return "recognise";
    case ActionKind::kSearchInput:
      return "search_input";
    case ActionKind::kPseudoLabel:
      return "pseudo_label";
    case ActionKind::kAskForLabels:
      return "ask_for_labels";
    case ActionKind::kJudge:
      return "judge";
    case ActionKind::kServe:
      return "serve";
    case ActionKind::kRollBack:
      return "roll_back";
    case ActionKind::kCommit:
      return "commit";
    case ActionKind::kRebaseline:
      return "rebaseline";
    case ActionKind::kReport:
      return "report";
  }
  return "unknown";
}

std::string DigestOf(const Adaptation& adaptation) {
  return base::Sha256Hex(Serialise(adaptation));
}

bool ServesTheSame(const Adaptation& a, const Adaptation& b) {
  return a.hypothesis == b.hypothesis && a.transform == b.transform && a.memory == b.memory &&
         a.head == b.head && a.opened == b.opened;
}

MachineState MachineState::Fresh(AdaptationPtr base) {
  MachineState state;
  state.served = base;
  state.champion = base;
  state.before = base;
  state.base = std::move(base);
  return state;
}

std::optional<std::string> MachineState::awaits() const {
  if (proposed != nullptr) return "approval";
  const bool is_waiting = state == AdaptState::kAdapting && is_asked && !is_judged;
  if (is_waiting || state == AdaptState::kEscalated) return "labels";
  return std::nullopt;
}

std::vector<Transition> MachineState::untold() const {
  const std::uint64_t count = std::min<std::uint64_t>(log_count - log_told, log.size());
  return {log.end() - static_cast<std::ptrdiff_t>(count), log.end()};
}

MachineState ToldAll(MachineState state) {
  state.log_told = state.log_count;
  return state;
}

namespace {

Action Do(ActionKind kind) {
  Action action;
  action.kind = kind;
  return action;
}

void Enter(MachineState& state, AdaptState to, std::uint64_t index, const std::string& why) {
  if (state.state == to) return;
  state.log.push_back({index, state.state, to, why});
  if (state.log.size() > MachineState::kLogMax) state.log.erase(state.log.begin());
  ++state.log_count;
  state.state = to;
}

// One event at work on one state.
class Machine {
 public:
  Machine(const MachineOptions& options, MachineState state)
      : options_(options), state_(std::move(state)) {}

  Step Take() { return {std::move(state_), std::move(actions_)}; }

  void On(const Alarm& alarm);
  void On(const Collected& collected);
  void On(const Passed& passed);
  void On(const Recognised& recognised);
  void On(const PseudoLabelled& labelled);
  void On(const Searched& searched);
  void On(const Told& told);
  void On(const Judged& judged);
  void On(const Shadowed& shadowed);
  void On(const CanaryMeasured& canary);
  void On(const ServeRefused& refused);
  void On(const BundleTookOver& bundle);
  void On(const SnapshotRestored& snapshot);
  void On(const ModeChanged& changed);

 private:
  bool MayChange() const { return options_.mode != Mode::kMonitoringOnly && options_.is_adaptable; }
  bool MayPseudoLabel() const;
  // Where an event stands when nothing is on trial.
  AdaptState AtRest() const;
  void Settle(std::uint64_t index, const std::string& why) { Enter(state_, AtRest(), index, why); }

  Action& Add(ActionKind kind);
  Action& Report(const std::string& text);
  void Ask(std::uint64_t index);
  // Serves it, or proposes it where a person must approve.
  void Offer(AdaptationPtr adaptation, std::uint64_t index, const std::string& why);
  void Serve(AdaptationPtr adaptation, std::uint64_t index, const std::string& why);
  void RollBack(AdaptationPtr to, std::uint64_t index, const std::string& why);
  void Commit(std::uint64_t index, const std::string& why);
  // The same labels, over all samples of the event.
  void JudgeAgain(std::uint64_t index, std::uint32_t count);
  OrderFate Obey(const AdaptationOrder& order, std::uint64_t index);
  void Withdraw();       // Nothing is proposed any more.
  void ForgetFigures();  // They were of what does not serve any more.
  // For labels or approval, with nothing on its way.
  bool IsOnlyWaiting() const {
    return state_.state == AdaptState::kAdapting && !state_.is_collecting && !state_.labels_waiting;
  }
  // What a person undid is not brought back by labels that were judged before.
  void ForgetProvisional();
  // The event is answered by having told of it: nothing will be changed for it.
  void OnlyWatch(std::uint64_t index, const std::string& why);
  // What these labels taught is neither gone back to nor proposed.
  void PurgeWaysBack(const std::vector<std::string>& retract);
  // And serves no more. Where no judge will speak: what is left without them serves at once.
  void StopServing(const std::vector<std::string>& retract, std::uint64_t index);
  // A person: nothing was wrong, or the change was to be.
  void CloseEvent(EventVerdict verdict, std::uint64_t index);
  // Gives the fates of the labels that were judged to the first report.
  void TellFates();

  MachineOptions options_;
  MachineState state_;
  Actions actions_;
  bool replaces_trial_ = false;
};

AdaptState Machine::AtRest() const {
  if (state_.event_id.empty()) return AdaptState::kStable;
  if (!MayChange()) return state_.is_collecting ? AdaptState::kAdapting : AdaptState::kStable;
  const bool is_answered = state_.is_judged || state_.is_changed;
  if (state_.is_unsure && !is_answered) return AdaptState::kEscalated;
  // Samples are still being collected, or labels are awaited and nothing helped without them.
  if (state_.is_collecting || !is_answered) return AdaptState::kAdapting;
  return state_.is_judged && state_.labels_right < options_.escalate_below ? AdaptState::kEscalated
                                                                           : AdaptState::kStable;
}

Action& Machine::Add(ActionKind kind) {
  actions_.push_back(Do(kind));
  actions_.back().event_id = state_.event_id;
  return actions_.back();
}

Action& Machine::Report(const std::string& text) {
  Action& report = Add(ActionKind::kReport);
  report.text = text;
  return report;
}

void Machine::Withdraw() {
  state_.proposed.reset();
  state_.proposed_why.clear();
}

void Machine::ForgetProvisional() {
  state_.is_provisional = false;
  state_.is_interrupted = false;
  // Labels that are new have a letter to answer; those that are judged again have none.
  if (state_.feedback_id.empty()) state_.labels_waiting = false;
}

void Machine::ForgetFigures() {
  state_.trial = {};
  state_.is_unsure = false;
  state_.is_told_right = false;
  state_.labels_right = 1.0;
  state_.labels_gain = 0.0;
}

void Machine::OnlyWatch(std::uint64_t index, const std::string& why) {
  Withdraw();
  state_.is_unsure = false;
  state_.is_judged = true;
  Enter(state_, AdaptState::kStable, index, why);
  Add(ActionKind::kRebaseline);
}

void Machine::Ask(std::uint64_t index) {
  state_.is_asked = true;
  state_.waiting_since = index;
  state_.suppressed = state_.suppressed_since;
  state_.suppressed_since = 0;
  Add(ActionKind::kAskForLabels).labels = options_.labels_asked;
}

void Machine::Offer(AdaptationPtr adaptation, std::uint64_t index, const std::string& why) {
  if (options_.mode != Mode::kServerAssisted) {
    Serve(std::move(adaptation), index, why);
    return;
  }
  state_.proposed = std::move(adaptation);
  state_.proposed_why = why;
  Enter(state_, AdaptState::kAdapting, index, "proposed, waits for approval: " + why);
  Report("proposed, waits for approval: " + why);
}

void Machine::Serve(AdaptationPtr adaptation, std::uint64_t index, const std::string& why) {
  if (!state_.is_changed) state_.before = state_.served;
  // What was on trial has proven nothing: behind the new one stands what stood behind it.
  state_.is_replacing = replaces_trial_;
  if (!replaces_trial_) state_.champion = state_.served;
  state_.served = std::move(adaptation);
  state_.is_changed = true;
  Withdraw();
  state_.trial = {};
  Enter(state_, AdaptState::kProbation, index, why);
  Add(ActionKind::kServe).adaptation = state_.served;
  Report(why);
}

void Machine::RollBack(AdaptationPtr to, std::uint64_t index, const std::string& why) {
  state_.champion = std::move(to);
  state_ = RolledBack(std::move(state_), index, why);
  Add(ActionKind::kRollBack).adaptation = state_.served;
  // What is served again has its own usual distances; the next change is measured from them.
  Add(ActionKind::kRebaseline);
  Report("rolled back: " + why);
}

void Machine::Commit(std::uint64_t index, const std::string& why) {
  Settle(index, why);
  Add(ActionKind::kCommit).adaptation = state_.served;
  Add(ActionKind::kRebaseline);
  Report(why);
}

void Machine::TellFates() {
  for (Action& action : actions_) {
    if (action.kind != ActionKind::kReport) continue;
    action.feedback_id = state_.feedback_id;
    action.fates = std::move(state_.fates);
    break;
  }
  state_.fates.clear();
}

void Machine::On(const Alarm& alarm) {
  // A further change is a new event, also after going back and where labels did not help; once
  // escalated without them, a person is awaited. Who only watches awaits nobody.
  const bool is_watching = !MayChange() && state_.state != AdaptState::kProbation;
  const bool is_at_rest =
      state_.state == AdaptState::kStable || state_.state == AdaptState::kRolledBack ||
      (state_.state == AdaptState::kEscalated && state_.is_judged) || is_watching;
  if (!is_at_rest || state_.is_collecting || state_.labels_waiting) {
    ++state_.suppressed_since;
    return;
  }
  const Gate evidence = EvidenceHolds(alarm.log10_e, alarm.target_samples);
  if (!evidence.passed) return;
  state_.event_id = alarm.event_id;
  state_.drift_index = alarm.index;
  state_.is_collecting = true;
  state_.is_recognised = false;
  state_.is_searched = false;
  state_.is_asked = false;
  state_.is_changed = false;
  state_.is_unsure = false;
  state_.labels_waiting = false;
  state_.is_interrupted = false;
  state_.is_judged = false;
  state_.is_provisional = false;
  state_.is_told_right = false;
  state_.labels_right = 1.0;
  state_.labels_gain = 0.0;
  Withdraw();
  // What models said of the stream before is nothing to go by in the one that comes.
  if (HasPseudo(*state_.served)) {
    state_.served = std::make_shared<const Adaptation>(WithoutPseudo(*state_.served));
    state_.champion = state_.served;
    Add(ActionKind::kRollBack).adaptation = state_.served;
  }
  state_.before = state_.served;
  Enter(state_, AdaptState::kSuspect, alarm.index, "alarm: " + evidence.reason);
  Add(ActionKind::kBeginQuarantine);
}

void Machine::On(const Collected& collected) {
  if (!state_.is_collecting) return;
  const bool is_full = collected.is_full || collected.count >= options_.quarantine_samples;
  const bool is_free = MayChange() && state_.state != AdaptState::kProbation &&
                       state_.proposed == nullptr && !state_.is_changed && !state_.labels_waiting;
  if (is_free && !state_.is_recognised && !state_.is_judged &&
      (is_full || collected.count >= options_.concept_samples)) {
    state_.is_recognised = true;
    Add(ActionKind::kRecognise);
  }
  if (is_free && !state_.is_searched && (is_full || collected.count >= options_.search_samples)) {
    state_.is_searched = true;
    if (state_.state == AdaptState::kSuspect) {
      Enter(state_, AdaptState::kAdapting, collected.index,
            StrCat(collected.count, " samples are collected: the input is searched"));
    }
    Add(ActionKind::kSearchInput);
  }
  if (!is_full) return;
  state_.is_collecting = false;
  const bool was_asked = state_.is_asked;
  if (!was_asked) Ask(collected.index);
  if (!MayChange()) {
    // Told once; from here on the new level is the one that is watched. A trial goes to its end,
    // and labels on their way are answered for.
    if (state_.state != AdaptState::kProbation && !state_.labels_waiting) {
      OnlyWatch(collected.index, "monitoring only: told");
    }
  } else if (state_.is_provisional && !state_.labels_waiting) {
    JudgeAgain(collected.index, collected.count);
  } else if (state_.state != AdaptState::kProbation && !state_.labels_waiting) {
    Settle(collected.index, StrCat(collected.count, " samples are collected",
                                   was_asked ? "" : ": labels are asked for"));
  }
  if (!was_asked) Report(StrCat(collected.count, " samples are collected: labels are asked for"));
  if (MayPseudoLabel()) Add(ActionKind::kPseudoLabel);
}

void Machine::On(const Passed& passed) {
  if (HasPseudo(*state_.served) && !state_.is_collecting && !state_.labels_waiting) {
    const bool is_allowed = options_.pseudo_labels && options_.mode == Mode::kAutonomous;
    const bool is_alive = passed.index < state_.drift_index ||
                          passed.index - state_.drift_index < options_.pseudo_life;
    if (!is_allowed || !is_alive) {
      RollBack(std::make_shared<const Adaptation>(WithoutPseudo(*state_.served)), passed.index,
               is_allowed ? "no person confirmed what the models said themselves"
                          : "pseudo-labels are not wanted any more");
      return;
    }
  }
  if (state_.state != AdaptState::kAdapting || !MayChange() || !state_.is_asked ||
      state_.is_judged || state_.labels_waiting || state_.proposed != nullptr ||
      options_.patience_samples == 0 || passed.index < state_.waiting_since ||
      passed.index - state_.waiting_since < options_.patience_samples) {
    return;
  }
  const std::string why = StrCat("no labels came within ", options_.patience_samples, " samples");
  state_.is_unsure = true;
  Enter(state_, AdaptState::kEscalated, passed.index, why);
  Report(why);
}

void Machine::On(const Recognised& recognised) {
  if (recognised.adaptation == nullptr || !MayChange() || state_.event_id.empty() ||
      state_.is_changed || state_.labels_waiting || state_.is_judged ||
      ServesTheSame(*recognised.adaptation, *state_.served)) {
    return;
  }
  Offer(recognised.adaptation, recognised.index, "met before: " + recognised.why);
}

bool Machine::MayPseudoLabel() const {
  return options_.pseudo_labels && options_.mode == Mode::kAutonomous && options_.is_adaptable &&
         !state_.event_id.empty() && state_.state == AdaptState::kAdapting && state_.is_searched &&
         !state_.is_changed && !state_.is_unsure && !state_.is_judged && !state_.labels_waiting &&
         state_.proposed == nullptr && state_.served->challenger.is_none();
}

void Machine::On(const PseudoLabelled& labelled) {
  if (labelled.adaptation == nullptr || !MayPseudoLabel()) return;
  Serve(labelled.adaptation, labelled.index, "no person said so: " + labelled.why);
}

void Machine::On(const Searched& searched) {
  const InputSearchResult& result = searched.result;
  // Labels that came before the mode changed are still judged, so that each is answered for.
  if (!MayChange() && !state_.labels_waiting) return;
  // Identity again the nearest: what was put right has gone away by itself (the lens was wiped).
  const bool is_over =
      result.best == 0 && !result.scores.empty() && !state_.served->hypothesis.is_identity();
  const bool is_changed = (result.is_adopted || is_over || result.is_vetoed) &&
                          result.hypothesis != state_.served->hypothesis;
  if (state_.labels_waiting) {
    // Between the thresholds what is served stays; the judge works in that input space.
    Adaptation space;
    space.bundle = state_.served->bundle;
    space.hypothesis = is_changed ? result.hypothesis : state_.served->hypothesis;
    Add(ActionKind::kJudge).adaptation = std::make_shared<const Adaptation>(std::move(space));
    return;
  }
  if (state_.event_id.empty() || state_.is_changed || state_.is_judged) return;
  if (is_changed && !result.is_vetoed) {
    // Whatever was learned in the old input space does not hold in the new one.
    Adaptation adaptation;
    adaptation.bundle = state_.served->bundle;
    adaptation.event_id = state_.event_id;
    adaptation.hypothesis = result.hypothesis;
    Offer(std::make_shared<const Adaptation>(std::move(adaptation)), searched.index,
          StrCat("input corrected by ", result.hypothesis.name(),
                 ": distances to the known examples fall to ", FormatShort(100.0 * result.ratio),
                 " %"));
    return;
  }
  const Gate accuracy = AccuracyHolds(searched.accuracy, options_.accuracy_at_least);
  if (accuracy.passed) return;
  state_.is_unsure = true;
  const std::string why = StrCat(InputHelps(result).reason, "; ", accuracy.reason);
  Enter(state_, AdaptState::kEscalated, searched.index, why);
  Report(StrCat("answers of little confidence are held back, labels are asked for: ", why));
  if (!state_.is_asked) Ask(searched.index);
}

void Machine::JudgeAgain(std::uint64_t index, std::uint32_t count) {
  state_.is_provisional = false;
  state_.labels_waiting = true;
  state_.feedback_id.clear();  // It was answered before.
  if (state_.state == AdaptState::kProbation) state_.is_interrupted = true;
  Enter(state_, AdaptState::kAdapting, index,
        StrCat(count, " samples are collected: the labels are judged again"));
  Add(ActionKind::kSearchInput);
}

OrderFate Machine::Obey(const AdaptationOrder& order, std::uint64_t index) {
  const bool is_served = DigestOf(*state_.served) == order.adaptation_sha256;
  const bool is_proposed =
      state_.proposed != nullptr && DigestOf(*state_.proposed) == order.adaptation_sha256;
  if (!is_served && !is_proposed) return {order, "unknown_adaptation"};
  switch (order.order) {
    case Order::kApprove:
      if (!MayChange()) return {order, "unused"};
      if (is_proposed) {
        Serve(state_.proposed, index, "approved by a person: " + state_.proposed_why);
      }
      return {order, "done"};  // What serves needs no approval.
    case Order::kReject:
      if (!is_proposed) return {order, "unused"};
      Withdraw();
      ForgetProvisional();
      // The event is answered: what serves stays, and the stream as it is becomes what is watched.
      state_.is_judged = true;
      Settle(index, "rejected by a person: what served before stays");
      Add(ActionKind::kRebaseline);
      Report("rejected by a person: what served before stays");
      return {order, "done"};
    case Order::kRollBack:
      if (!is_served || ServesTheSame(*state_.served, *state_.base)) return {order, "unused"};
      ForgetProvisional();
      state_.is_recognised = true;  // Nothing is tried in its place: a person is asked.
      state_.is_searched = true;
      RollBack(ServesTheSame(*state_.champion, *state_.served) ? state_.base : state_.champion,
               index, "ordered by a person");
      return {order, "done"};
  }
  return {order, "unused"};
}

void Machine::PurgeWaysBack(const std::vector<std::string>& retract) {
  if (retract.empty()) return;
  for (AdaptationPtr* kept : {&state_.champion, &state_.before}) {
    if (!IsTaughtBy(**kept, retract)) continue;
    *kept = std::make_shared<const Adaptation>(WithoutWhatTheyTaught(**kept, retract));
  }
  if (state_.proposed != nullptr && IsTaughtBy(*state_.proposed, retract)) Withdraw();
}

void Machine::StopServing(const std::vector<std::string>& retract, std::uint64_t index) {
  if (retract.empty() || !IsTaughtBy(*state_.served, retract)) return;
  const bool is_on_trial = state_.state == AdaptState::kProbation || state_.is_interrupted;
  state_.is_provisional = false;
  state_.is_interrupted = false;
  RollBack(is_on_trial && !IsTaughtBy(*state_.champion, retract)
               ? state_.champion
               : std::make_shared<const Adaptation>(WithoutWhatTheyTaught(*state_.served, retract)),
           index, "labels that taught it were taken back");
}

void Machine::CloseEvent(EventVerdict verdict, std::uint64_t index) {
  const bool is_false_alarm = verdict == EventVerdict::kFalseAlarm;
  const bool is_interrupted = std::exchange(state_.is_interrupted, false);
  Withdraw();
  state_.is_provisional = false;
  state_.is_collecting = false;
  state_.is_unsure = false;
  state_.labels_waiting = false;
  if (!is_false_alarm && state_.state == AdaptState::kProbation) {
    // A word about the change is none about what is tried for it: the trial goes to its end.
    state_.is_judged = true;
    return;
  }
  const bool is_on_trial = state_.state == AdaptState::kProbation || is_interrupted;
  const bool is_undone = is_false_alarm && state_.is_changed &&
                         (is_on_trial || !ServesTheSame(*state_.served, *state_.before));
  // What labels had interrupted has proven nothing, and they will not be judged any more.
  if (is_undone || is_interrupted) {
    state_.served = is_undone ? state_.before : state_.champion;
    state_.champion = state_.served;
    state_.trial = {};
    Add(ActionKind::kRollBack).adaptation = state_.served;
  }
  Enter(state_, AdaptState::kStable, index,
        is_false_alarm ? "a person: a false alarm" : "a person: the change was expected");
  state_.event_id.clear();
  state_.is_changed = false;
}

void Machine::On(const Told& told) {
  const Feedback& feedback = told.feedback;
  std::vector<LabelFate> settled = told.settled;
  const bool is_watched_only = !MayChange();
  bool is_work = !is_watched_only && (!feedback.labels.empty() || !feedback.retract.empty());
  if (is_watched_only) {
    for (const Label& label : feedback.labels) {
      settled.push_back({label.sample_id, feedback.feedback_id, "monitoring_only"});
    }
  }
  // What was taken back must not come again by going back, nor by an order in the same letter.
  PurgeWaysBack(feedback.retract);
  std::vector<OrderFate> orders;
  for (const AdaptationOrder& order : feedback.orders) orders.push_back(Obey(order, told.index));

  const std::string event_id = state_.event_id;
  const bool is_quiet =
      feedback.verdict && *feedback.verdict != EventVerdict::kReal && !state_.event_id.empty();
  if (is_quiet) {
    // Nothing was wrong: what was changed for this event is undone, and the stream as it is now
    // becomes what is normal. The labels are kept, for they are true all the same.
    if (!is_watched_only) {
      for (const Label& label : feedback.labels) {
        settled.push_back({label.sample_id, feedback.feedback_id, "judged"});
      }
    }
    // Labels that were on their way to the judge are answered for here.
    for (LabelFate& fate : state_.fates) {
      if (fate.fate.empty()) fate.fate = "judged";
      settled.push_back(std::move(fate));
    }
    state_.fates.clear();
    StopServing(feedback.retract, told.index);
    CloseEvent(*feedback.verdict, told.index);
    Add(ActionKind::kRebaseline).from_collected = true;
    is_work = false;
  }
  if (!is_work && !is_quiet) StopServing(feedback.retract, told.index);
  if (!is_work) {
    // Orders have reported themselves; the last report acknowledges.
    Action* report = nullptr;
    for (Action& action : actions_) {
      if (action.kind == ActionKind::kReport) report = &action;
    }
    if (report == nullptr || is_quiet) {
      report = &Report(is_quiet ? "a person called the event no cause for change"
                                : "feedback taken; nothing to judge");
      report->event_id = event_id;
    }
    report->feedback_id = feedback.feedback_id;
    report->fates = std::move(settled);
    report->orders = std::move(orders);
    return;
  }
  if (!orders.empty()) {
    Action& report = Report("orders of a person");
    report.orders = std::move(orders);
  }
  // Whatever the judge says now, the way back leads to what the labels taken back taught nothing
  // of.
  if (!feedback.retract.empty() && IsTaughtBy(*state_.served, feedback.retract) &&
      state_.state != AdaptState::kProbation) {
    state_.champion =
        std::make_shared<const Adaptation>(WithoutWhatTheyTaught(*state_.served, feedback.retract));
    state_.is_interrupted = true;
  }
  // What models said themselves gives way to a person's word, and no way leads back to it.
  if (HasPseudo(*state_.served) && state_.state != AdaptState::kProbation) {
    state_.champion = std::make_shared<const Adaptation>(WithoutPseudo(*state_.served));
    state_.is_interrupted = true;
  }
  for (AdaptationPtr* kept : {&state_.champion, &state_.before}) {
    if (HasPseudo(**kept)) *kept = std::make_shared<const Adaptation>(WithoutPseudo(**kept));
  }
  state_.fates.insert(state_.fates.end(), settled.begin(), settled.end());
  for (const Label& label : feedback.labels) {
    state_.fates.push_back({label.sample_id, feedback.feedback_id, ""});  // The judge will tell.
  }
  state_.labels_waiting = true;
  state_.feedback_id = feedback.feedback_id;
  state_.is_searched = true;
  // A probation under way ends here: the labels are the better judge.
  if (state_.state == AdaptState::kProbation) state_.is_interrupted = true;
  Enter(state_, AdaptState::kAdapting, told.index,
        StrCat(feedback.labels.size(), " labels came",
               feedback.retract.empty() ? "" : ", some were taken back"));
  Add(ActionKind::kSearchInput);
}

void Machine::On(const Judged& judged) {
  // What it answers was settled by a person meanwhile.
  if (!state_.labels_waiting) return;
  const JudgeFigures& figures = judged.figures;
  const bool was_on_trial =
      std::exchange(state_.is_interrupted, false) || state_.state == AdaptState::kProbation;
  // What the labels have not chosen must not be approved any more.
  Withdraw();
  state_.labels_waiting = false;
  state_.is_provisional = state_.is_collecting;
  const Gate agree = LabelsAgree(figures);
  for (LabelFate& fate : state_.fates) {
    if (!fate.fate.empty()) continue;
    const bool is_refused = std::find(figures.refused.begin(), figures.refused.end(),
                                      fate.sample_id) != figures.refused.end();
    const bool is_learned = std::any_of(
        judged.composed->entries.begin(), judged.composed->entries.end(),
        [&](const MemoryEntry& entry) {
          return entry.sample_id == fate.sample_id && entry.origin == LabelOrigin::kPerson;
        });
    fate.fate = is_refused ? "refused" : agree.passed && is_learned ? "learned" : "judged";
  }
  if (!MayChange()) {
    // The mode changed while the labels were on their way.
    for (LabelFate& fate : state_.fates) {
      if (fate.fate == "learned" || fate.fate == "judged") fate.fate = "monitoring_only";
    }
    const std::string why = "monitoring only: nothing is changed";
    state_.is_judged = true;
    if (was_on_trial && !ServesTheSame(*state_.champion, *state_.served)) {
      RollBack(state_.champion, judged.index, "monitoring only: the trial was not at its end");
    } else if (state_.is_collecting) {
      Settle(judged.index, why);
    } else {
      OnlyWatch(judged.index, why);
    }
    Report("monitoring only, nothing is changed: " + agree.reason);
    TellFates();
    return;
  }
  if (!agree.passed) {
    // Nothing is learned from them, and a second opinion is asked for.
    state_.is_unsure = true;
    if (was_on_trial) RollBack(state_.champion, judged.index, agree.reason);
    state_.is_changed = false;
    state_.is_judged = false;
    Enter(state_, AdaptState::kEscalated, judged.index, agree.reason);
    Report("nothing is learned, a second opinion is needed: " + agree.reason);
    TellFates();
    return;
  }
  state_.is_judged = true;
  state_.is_unsure = false;
  state_.labels_right =
      figures.labels > 0 ? static_cast<double>(figures.correct) / figures.labels : 1.0;
  state_.labels_gain =
      figures.labels > 0
          ? static_cast<double>(figures.correct - figures.correct_before) / figures.labels
          : 0.0;
  const int gain_min = std::max(3, static_cast<int>(std::lround(0.15 * figures.labels)));
  // Where most labels are wrong by the bundle alone, its own beliefs are no witness against them.
  const bool is_lost = 2 * figures.correct_before < figures.labels;
  state_.is_told_right = (is_lost || state_.labels_right >= options_.escalate_below) &&
                         figures.correct - figures.correct_before >= gain_min;
  const std::string text = StrCat(figures.correct, " of ", figures.labels, " labels right with ",
                                  judged.composed->name());
  if (ServesTheSame(*judged.composed, *state_.served)) {
    // Nothing to change: what is served stays, now with the labels behind it.
    const bool is_new = state_.is_changed && !state_.served->is_none();
    state_.served = judged.composed;
    Settle(judged.index, text);
    if (is_new) Add(ActionKind::kCommit).adaptation = state_.served;
    Add(ActionKind::kRebaseline);
    Report(
        StrCat(state_.state == AdaptState::kEscalated ? "nothing here helps: " : "kept: ", text));
  } else if (was_on_trial && ServesTheSame(*judged.composed, *state_.champion)) {
    RollBack(state_.champion, judged.index, "a person's labels contradict it: " + text);
  } else {
    replaces_trial_ = was_on_trial;
    Offer(judged.composed, judged.index, "labels choose it: " + text);
  }
  TellFates();
}

void Machine::On(const Shadowed& shadowed) {
  if (state_.state != AdaptState::kProbation) return;
  Trial& trial = state_.trial;
  trial.Add(shadowed.sample);
  const TrialRule& rule = options_.trial;
  // Labels know better than distances what is right; the canary was asked already.
  if (state_.is_told_right) {
    if (trial.count < options_.probation_samples) return;
    return Commit(shadowed.index,
                  StrCat("committed, by its labels: ", EndHolds(trial, rule).reason));
  }
  const Gate bets = BetsHold(trial, rule);
  if (!bets.passed) return RollBack(state_.champion, shadowed.index, bets.reason);
  const Gate classes = ClassesHold(trial, rule);
  if (!classes.passed) return RollBack(state_.champion, shadowed.index, classes.reason);
  const Gate proven = IsProven(trial, rule);
  if (proven.passed) {
    return Commit(shadowed.index, "committed, surely better: " + proven.reason);
  }
  if (trial.count < options_.probation_samples) return;
  const Gate end = EndHolds(trial, rule);
  if (!end.passed) return RollBack(state_.champion, shadowed.index, "worse " + end.reason);
  Commit(shadowed.index, "committed: " + end.reason);
}

void Machine::On(const CanaryMeasured& canary) {
  if (state_.state != AdaptState::kProbation || state_.served->challenger.memory == Memory::kNone) {
    return;
  }
  const Gate gate = CanaryHolds({.before = canary.before,
                                 .after = canary.after,
                                 .count = canary.count,
                                 .labels_gain = state_.labels_gain},
                                options_.canary);
  if (!gate.passed) RollBack(state_.champion, canary.index, gate.reason);
}

void Machine::On(const ServeRefused& refused) {
  if (state_.state != AdaptState::kProbation) return;
  state_.served = state_.champion;
  state_.is_changed = !ServesTheSame(*state_.served, *state_.before);
  state_.is_judged = false;  // What labels chose does not serve: they are still awaited.
  state_.trial = {};
  const std::string why = "adaptation refused: " + refused.why;
  // What still answers is what was on trial: it goes, too.
  if (std::exchange(state_.is_replacing, false)) {
    Add(ActionKind::kRollBack).adaptation = state_.served;
  }
  Settle(refused.index, why);
  Report(why);
}

void Machine::On(const BundleTookOver& bundle) {
  state_.base = bundle.base;
  state_.served = bundle.carried;
  state_.champion = bundle.carried;
  state_.before = bundle.base;
  Withdraw();
  ForgetFigures();
  state_.is_interrupted = false;
  const std::string why = bundle.why.empty() ? "another bundle runs" : bundle.why;
  // A new model answers an escalation; labels that are still awaited stay awaited.
  if (state_.state == AdaptState::kProbation || state_.state == AdaptState::kRolledBack ||
      state_.state == AdaptState::kEscalated) {
    Enter(state_, state_.is_collecting ? AdaptState::kAdapting : AdaptState::kStable, bundle.index,
          why);
  } else if (IsOnlyWaiting()) {
    Settle(bundle.index, why);  // What was proposed is gone; nobody is waited for in vain.
  }
}

void Machine::On(const SnapshotRestored& snapshot) {
  state_.served = snapshot.adaptation;
  state_.champion = snapshot.adaptation;
  state_.before = snapshot.adaptation;
  Withdraw();
  ForgetProvisional();
  ForgetFigures();
  if (state_.state == AdaptState::kProbation || state_.state == AdaptState::kEscalated) {
    Enter(state_, state_.is_collecting ? AdaptState::kAdapting : AdaptState::kRolledBack,
          snapshot.index, snapshot.why);
  } else if (IsOnlyWaiting() && AtRest() != AdaptState::kAdapting) {
    Enter(state_, AdaptState::kRolledBack, snapshot.index, snapshot.why);
  }
  Add(ActionKind::kRebaseline);
  Report(snapshot.why);
}

void Machine::On(const ModeChanged& changed) {
  if (MayChange() || state_.event_id.empty() || state_.labels_waiting ||
      (state_.state != AdaptState::kAdapting && state_.state != AdaptState::kEscalated)) {
    return;
  }
  const std::string why = "monitoring only: nothing is changed for this event";
  const bool was_awaiting = state_.awaits().has_value();
  if (state_.is_collecting) {
    Withdraw();
    state_.is_unsure = false;
    Settle(changed.index, why);
  } else {
    OnlyWatch(changed.index, why);
  }
  if (was_awaiting) Report(why);
}

}  // namespace

MachineState RolledBack(MachineState state, std::uint64_t index, const std::string& why) {
  state.served = state.champion;
  state.is_changed = !ServesTheSame(*state.served, *state.before);
  state.trial = {};
  Enter(state, AdaptState::kRolledBack, index, why);
  return state;
}

Step Next(const MachineOptions& options, MachineState state, const MachineEvent& event) {
  Machine machine(options, std::move(state));
  std::visit([&](const auto& happened) { machine.On(happened); }, event);
  return machine.Take();
}

// ---- In bytes ---------------------------------------------------------------------------------

namespace {

void WriteFates(WireWriter& writer, const std::vector<LabelFate>& fates) {
  writer.U32(static_cast<std::uint32_t>(fates.size()));
  for (const LabelFate& fate : fates) {
    writer.Text(fate.sample_id);
    writer.Text(fate.feedback_id);
    writer.Text(fate.fate);
  }
}

std::vector<LabelFate> ReadFates(WireReader& reader) {
  std::vector<LabelFate> fates(reader.Count(12));
  for (LabelFate& fate : fates) {
    fate.sample_id = reader.Text();
    fate.feedback_id = reader.Text();
    fate.fate = reader.Text();
  }
  return fates;
}

void WriteTrial(WireWriter& writer, const Trial& trial) {
  writer.U32(trial.count);
  writer.F64(trial.champion_distance);
  writer.F64(trial.champion_confidence);
  writer.F64(trial.challenger_distance);
  writer.F64(trial.challenger_confidence);
  writer.U32(trial.agreed);
  for (const double wealth : trial.worse.wealth) writer.F64(wealth);
  for (const double wealth : trial.better.wealth) writer.F64(wealth);
  for (const auto* counts : {&trial.champion_classes, &trial.challenger_classes}) {
    writer.U32(static_cast<std::uint32_t>(counts->size()));
    for (const std::uint32_t count : *counts) writer.U32(count);
  }
}

Trial ReadTrial(WireReader& reader) {
  Trial trial;
  trial.count = reader.U32();
  trial.champion_distance = reader.F64();
  trial.champion_confidence = reader.F64();
  trial.challenger_distance = reader.F64();
  trial.challenger_confidence = reader.F64();
  trial.agreed = reader.U32();
  for (double& wealth : trial.worse.wealth) wealth = reader.F64();
  for (double& wealth : trial.better.wealth) wealth = reader.F64();
  for (auto* counts : {&trial.champion_classes, &trial.challenger_classes}) {
    counts->resize(reader.Count(4));
    for (std::uint32_t& count : *counts) count = reader.U32();
  }
  return trial;
}

Error Corrupt(std::string_view what) {
  return Error{ErrorCode::kCorrupt, StrCat("adaptation machine: ", what)};
}

// As the adapter before wrote it: what it gathered on trial cannot be gone on with.
Result<MachineState> ReadVersion1(WireReader& reader, std::uint32_t version, MachineState state) {
  state.event_id = reader.Text();
  state.drift_index = reader.U64();
  state.waiting_since = reader.U64();
  state.suppressed = reader.U64();
  state.suppressed_since = reader.U64();
  state.is_searched = reader.U8() != 0;
  state.is_asked = reader.U8() != 0;
  state.labels_waiting = reader.U8() != 0;
  state.is_judged = reader.U8() != 0;
  state.labels_right = reader.F64();
  state.feedback_id = reader.Text();
  static_cast<void>(reader.Raw(4 + 4 * 8));  // The trial.
  state.fates = ReadFates(reader);
  for (AdaptationPtr* to : {&state.served, &state.champion, &state.before}) {
    ASSIGN_OR_RETURN(Adaptation adaptation, ReadAdaptation(reader, version));
    *to = std::make_shared<const Adaptation>(std::move(adaptation));
  }
  state.is_collecting = !state.event_id.empty() && !state.is_asked;
  state.is_changed = !state.event_id.empty() && state.served->event_id == state.event_id;
  return state;
}

Result<MachineState> ReadVersion3(WireReader& reader, MachineState state) {
  state.event_id = reader.Text();
  state.drift_index = reader.U64();
  state.waiting_since = reader.U64();
  state.suppressed = reader.U64();
  state.suppressed_since = reader.U64();
  for (bool* flag :
       {&state.is_collecting, &state.is_recognised, &state.is_searched, &state.is_asked,
        &state.is_changed, &state.is_unsure, &state.labels_waiting, &state.is_interrupted,
        &state.is_judged, &state.is_provisional, &state.is_told_right, &state.is_replacing}) {
    const std::uint8_t value = reader.U8();
    if (value > 1) return Corrupt("a flag that is none");
    *flag = value == 1;
  }
  state.labels_right = reader.F64();
  state.labels_gain = reader.F64();
  state.feedback_id = reader.Text();
  state.proposed_why = reader.Text();
  state.trial = ReadTrial(reader);
  state.fates = ReadFates(reader);
  state.log.resize(reader.Count(14));
  if (state.log.size() > MachineState::kLogMax) return Corrupt("too long a log");
  for (Transition& transition : state.log) {
    transition.index = reader.U64();
    for (AdaptState* end : {&transition.from, &transition.to}) {
      const std::uint8_t kind = reader.U8();
      if (kind > static_cast<std::uint8_t>(AdaptState::kEscalated)) return Corrupt("unknown state");
      *end = static_cast<AdaptState>(kind);
    }
    transition.why = reader.Text();
  }
  state.log_count = reader.U64();
  state.log_told = reader.U64();
  if (state.log_told > state.log_count || state.log.size() > state.log_count) {
    return Corrupt("a log that tells more than happened");
  }
  const std::uint32_t version = reader.U32();
  std::vector<AdaptationPtr> all;
  for (std::uint8_t count = reader.U8(); count > 0 && reader.ok(); --count) {
    ASSIGN_OR_RETURN(Adaptation adaptation, ReadAdaptation(reader, version));
    all.push_back(std::make_shared<const Adaptation>(std::move(adaptation)));
  }
  for (AdaptationPtr* to : {&state.served, &state.champion, &state.before, &state.proposed}) {
    const std::uint8_t which = reader.U8();
    if (to == &state.proposed && which == kNone) {
      state.proposed = nullptr;
    } else if (which >= all.size()) {
      return Corrupt("an adaptation is missing");
    } else {
      *to = all[which];
    }
  }
  return state;
}

}  // namespace

Bytes Serialise(const MachineState& state) {
  WireWriter writer;
  writer.Raw(kMagic);
  writer.U32(kVersion);
  writer.U8(static_cast<std::uint8_t>(state.state));
  writer.Text(state.event_id);
  writer.U64(state.drift_index);
  writer.U64(state.waiting_since);
  writer.U64(state.suppressed);
  writer.U64(state.suppressed_since);
  for (const bool flag :
       {state.is_collecting, state.is_recognised, state.is_searched, state.is_asked,
        state.is_changed, state.is_unsure, state.labels_waiting, state.is_interrupted,
        state.is_judged, state.is_provisional, state.is_told_right, state.is_replacing}) {
    writer.U8(flag ? 1 : 0);
  }
  writer.F64(state.labels_right);
  writer.F64(state.labels_gain);
  writer.Text(state.feedback_id);
  writer.Text(state.proposed_why);
  WriteTrial(writer, state.trial);
  WriteFates(writer, state.fates);
  writer.U32(static_cast<std::uint32_t>(state.log.size()));
  for (const Transition& transition : state.log) {
    writer.U64(transition.index);
    writer.U8(static_cast<std::uint8_t>(transition.from));
    writer.U8(static_cast<std::uint8_t>(transition.to));
    writer.Text(transition.why);
  }
  writer.U64(state.log_count);
  writer.U64(state.log_told);
  // Each adaptation once: a flat field has 100 KB, and most of the time several are the same.
  std::vector<AdaptationPtr> all;
  std::array<std::uint8_t, 4> which{};
  const std::array<AdaptationPtr, 4> each = {state.served, state.champion, state.before,
                                             state.proposed};
  for (std::size_t i = 0; i < each.size(); ++i) {
    if (each[i] == nullptr) {
      which[i] = kNone;
      continue;
    }
    const auto same = std::find_if(all.begin(), all.end(), [&](const AdaptationPtr& one) {
      return one == each[i] || *one == *each[i];
    });
    which[i] = static_cast<std::uint8_t>(same - all.begin());
    if (same == all.end()) all.push_back(each[i]);
  }
  writer.U32(kAdaptationVersion);
  writer.U8(static_cast<std::uint8_t>(all.size()));
  for (const AdaptationPtr& one : all) WriteAdaptation(writer, *one);
  writer.Raw(which);
  writer.U32(base::Crc32c(writer.bytes()));
  return writer.Take();
}

Result<MachineState> ParseMachineState(ByteView bytes, AdaptationPtr base) {
  ASSIGN_OR_RETURN(auto framed, state::OpenFrame(bytes, kMagic, 1, kVersion, "adaptation machine"));
  auto& [reader, version] = framed;
  MachineState state = MachineState::Fresh(base);
  const std::uint8_t kind = reader.U8();
  if (kind > static_cast<std::uint8_t>(AdaptState::kEscalated)) return Corrupt("unknown state");
  state.state = static_cast<AdaptState>(kind);
  ASSIGN_OR_RETURN(state, version < kVersion ? ReadVersion1(reader, version, std::move(state))
                                             : ReadVersion3(reader, std::move(state)));
  if (!reader.ok() || !reader.at_end()) return Corrupt("of another length");
  for (const AdaptationPtr& one : {state.served, state.champion, state.before, state.proposed}) {
    if (one != nullptr && one->bundle != base->bundle) {
      return Error{ErrorCode::kConflict, "adaptation machine: saved for another bundle"};
    }
  }
  return state;
}

}  // namespace tinylcm::adapt
