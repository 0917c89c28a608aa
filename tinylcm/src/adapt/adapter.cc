#include "tinylcm/adapt/adapter.h"

#include <algorithm>
#include <array>

#include "base/text.h"
#include "tinylcm/src/adapt/adaptation_wire.h"

namespace tinylcm::adapt {

using base::Bytes;
using base::ByteView;
using base::Error;
using base::ErrorCode;
using base::FormatShort;
using base::Result;
using base::Status;
using base::StrCat;
using state::WireReader;
using state::WireWriter;

namespace {

constexpr std::array<std::uint8_t, 4> kMagic = {'T', 'L', 'C', 'D'};
constexpr std::uint32_t kVersion = kAdaptationVersion;  // Only the adaptations in it changed.

bool Contains(const std::vector<std::string>& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

Action Do(ActionKind kind) {
  Action action;
  action.kind = kind;
  return action;
}

// The same answers for every input, whatever it was learned from.
bool ServesTheSame(const Adaptation& a, const Adaptation& b) {
  return a.hypothesis == b.hypothesis && a.transform == b.transform && a.memory == b.memory &&
         a.head == b.head && a.opened == b.opened;
}

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

const char* Name(AdapterState state) {
  switch (state) {
    case AdapterState::kStable:
      return "stable";
    case AdapterState::kSuspect:
      return "suspect";
    case AdapterState::kAdapting:
      return "adapting";
    case AdapterState::kProbation:
      return "probation";
    case AdapterState::kRolledBack:
      return "rolled_back";
    case AdapterState::kEscalated:
      return "escalated";
  }
  return "unknown";
}

Result<EventVerdict> ParseEventVerdict(std::string_view name) {
  if (name == "real") return EventVerdict::kReal;
  if (name == "false_alarm") return EventVerdict::kFalseAlarm;
  if (name == "expected") return EventVerdict::kExpected;
  return Error{ErrorCode::kInvalidArgument,
               StrCat("verdict: ", name, ": real, false_alarm or expected")};
}

const char* Name(ActionKind kind) {
  switch (kind) {
    case ActionKind::kBeginQuarantine:
      return "begin_quarantine";
    case ActionKind::kAskForLabels:
      return "ask_for_labels";
    case ActionKind::kSearchInput:
      return "search_input";
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

Adapter::Adapter(const Options& options, const std::string& bundle) : options_(options) {
  state_.served.bundle = bundle;
  state_.champion.bundle = bundle;
  state_.before.bundle = bundle;
}

// Where an event stands when nothing is on trial.
AdapterState Adapter::AtRest() const {
  if (state_.event_id.empty()) return AdapterState::kStable;
  // Samples are still being collected, or labels are awaited and nothing helped without them.
  const bool is_answered = state_.is_judged || state_.served.event_id == state_.event_id;
  if (IsCollecting() || !is_answered) return AdapterState::kAdapting;
  return state_.is_judged && state_.labels_right < options_.escalate_below
             ? AdapterState::kEscalated
             : AdapterState::kStable;
}

Action Adapter::Report(const std::string& text) {
  Action action = Do(ActionKind::kReport);
  action.event_id = state_.event_id;
  action.text = text;
  return action;
}

Actions Adapter::Serve(const Adaptation& adaptation, const std::string& text) {
  state_.champion = state_.served;
  if (state_.served.event_id != state_.event_id) state_.before = state_.served;
  state_.served = adaptation;
  state_.state = AdapterState::kProbation;
  state_.probation_count = 0;
  state_.champion_distance = 0.0;
  state_.champion_confidence = 0.0;
  state_.challenger_distance = 0.0;
  state_.challenger_confidence = 0.0;
  Action serve = Do(ActionKind::kServe);
  serve.event_id = state_.event_id;
  serve.adaptation = adaptation;
  return {std::move(serve), Report(text)};
}

Actions Adapter::RollBack(const Adaptation& to, const std::string& text) {
  state_.served = to;
  state_.state = AdapterState::kRolledBack;
  Action back = Do(ActionKind::kRollBack);
  back.event_id = state_.event_id;
  back.adaptation = state_.served;
  // What is served again has its own usual distances; the next change is measured from them.
  return {std::move(back), Do(ActionKind::kRebaseline), Report(text)};
}

Actions Adapter::Commit(const std::string& text) {
  state_.state = AtRest();
  Actions actions;
  actions.push_back(Do(ActionKind::kCommit));
  actions.push_back(Do(ActionKind::kRebaseline));
  actions.push_back(Report(text));
  return actions;
}

Actions Adapter::OnDrift(const std::string& event_id, std::uint64_t index) {
  // After going back a further change is a new event; once escalated, a person is awaited.
  const bool is_at_rest =
      state_.state == AdapterState::kStable || state_.state == AdapterState::kRolledBack;
  if (!is_at_rest || IsCollecting()) {
    ++state_.suppressed_since;
    return {};
  }
  state_.state = AdapterState::kSuspect;
  state_.event_id = event_id;
  state_.drift_index = index;
  state_.is_searched = false;
  state_.is_asked = false;
  state_.labels_waiting = false;
  state_.is_judged = false;
  state_.labels_right = 1.0;
  Action begin = Do(ActionKind::kBeginQuarantine);
  begin.event_id = event_id;
  return {std::move(begin)};
}

Actions Adapter::OnQuarantined(std::uint32_t count, std::uint64_t index, bool is_full) {
  if (!IsCollecting()) return {};
  Actions actions;
  is_full = is_full || count >= options_.quarantine_samples;
  if (options_.has_pictures && !state_.is_searched && options_.mode != Mode::kMonitoringOnly &&
      (is_full || count >= options_.search_samples)) {
    state_.is_searched = true;
    if (state_.state == AdapterState::kSuspect) state_.state = AdapterState::kAdapting;
    actions.push_back(Do(ActionKind::kSearchInput));
    actions.back().event_id = state_.event_id;
  }
  if (is_full) {
    state_.is_asked = true;
    state_.waiting_since = index;
    state_.suppressed = state_.suppressed_since;
    state_.suppressed_since = 0;
    if (state_.state != AdapterState::kProbation) state_.state = AtRest();
    actions.push_back(Do(ActionKind::kAskForLabels));
    actions.back().event_id = state_.event_id;
    actions.back().labels = options_.labels_asked;
    if (options_.mode == Mode::kMonitoringOnly) {
      // Told once; from here on the new level is the one that is watched.
      state_.state = AdapterState::kStable;
      actions.push_back(Do(ActionKind::kRebaseline));
    }
  }
  return actions;
}

Actions Adapter::OnSample(std::uint64_t index) {
  if (state_.state != AdapterState::kAdapting || !state_.is_asked ||
      options_.patience_samples == 0 || index < state_.waiting_since ||
      index - state_.waiting_since < options_.patience_samples) {
    return {};
  }
  state_.state = AdapterState::kEscalated;
  return {Report(StrCat("no labels came within ", options_.patience_samples, " samples"))};
}

Actions Adapter::OnInputSearched(const InputSearchResult& result) {
  // Labels that came before the mode changed are still judged, so that each is answered for.
  if (options_.mode == Mode::kMonitoringOnly && !state_.labels_waiting) return {};
  // Identity again the nearest: what was put right has gone away by itself (the lens was wiped).
  const bool is_over = result.best == 0 && !state_.served.hypothesis.is_identity();
  const bool is_changed = (result.is_adopted || is_over || result.is_vetoed) &&
                          result.hypothesis != state_.served.hypothesis;
  if (state_.labels_waiting) {
    // Between the thresholds what is served stays; the judge works in that input space.
    Action judge = Do(ActionKind::kJudge);
    judge.event_id = state_.event_id;
    judge.adaptation.bundle = state_.served.bundle;
    judge.adaptation.hypothesis = is_changed ? result.hypothesis : state_.served.hypothesis;
    return {std::move(judge)};
  }
  if (options_.mode != Mode::kAutonomous || !is_changed || result.is_vetoed) return {};
  // Whatever was learned in the old input space does not hold in the new one.
  Adaptation adaptation;
  adaptation.bundle = state_.served.bundle;
  adaptation.event_id = state_.event_id;
  adaptation.hypothesis = result.hypothesis;
  return Serve(adaptation, StrCat("input corrected by ", result.hypothesis.name(),
                                  ": distances to the known examples fall to ",
                                  FormatShort(100.0 * result.ratio), " %"));
}

Actions Adapter::OnFeedback(const Feedback& feedback,
                            const std::map<std::string, Label>& labels_before,
                            const std::vector<std::string>& known) {
  std::vector<LabelFate> settled;  // Fates that the judge has no say in.
  bool is_work = false;
  for (const Label& label : feedback.labels) {
    if (!Contains(known, label.sample_id)) {
      settled.push_back({label.sample_id, feedback.feedback_id, "unknown_sample"});
      continue;
    }
    if (options_.mode == Mode::kMonitoringOnly) {
      settled.push_back({label.sample_id, feedback.feedback_id, "monitoring_only"});
      continue;
    }
    const auto before = labels_before.find(label.sample_id);
    if (before != labels_before.end() && before->second.label != label.label) {
      settled.push_back({label.sample_id, before->second.feedback_id, "replaced"});
    }
    is_work = true;
  }
  for (const std::string& sample_id : feedback.retract) {
    if (!labels_before.contains(sample_id)) {
      settled.push_back({sample_id, feedback.feedback_id, "unknown_sample"});
      continue;
    }
    settled.push_back({sample_id, feedback.feedback_id, "retracted"});
    is_work |= options_.mode != Mode::kMonitoringOnly;
  }

  Actions actions;
  const std::string event_id = state_.event_id;
  const bool is_quiet =
      feedback.verdict && *feedback.verdict != EventVerdict::kReal && !state_.event_id.empty();
  if (is_quiet) {
    // Nothing was wrong: what was changed for this event is undone, and the stream as it is now
    // becomes what is normal. The labels are kept, for they are true all the same.
    for (const Label& label : feedback.labels) {
      if (Contains(known, label.sample_id) && options_.mode != Mode::kMonitoringOnly) {
        settled.push_back({label.sample_id, feedback.feedback_id, "judged"});
      }
    }
    const bool is_undone = *feedback.verdict == EventVerdict::kFalseAlarm &&
                           state_.served.event_id == state_.event_id &&
                           !ServesTheSame(state_.served, state_.before);
    if (is_undone) {
      actions.push_back(RollBack(state_.before, "").front());  // The rest stands below.
    }
    state_.state = AdapterState::kStable;
    state_.event_id.clear();
    state_.labels_waiting = false;
    actions.push_back(Do(ActionKind::kRebaseline));
    is_work = false;
  }
  if (!is_work) {
    Action report = Report(is_quiet ? "a person called the event no cause for change"
                                    : "feedback taken; nothing to judge");
    report.event_id = event_id;
    report.feedback_id = feedback.feedback_id;
    report.fates = std::move(settled);
    actions.push_back(std::move(report));
    return actions;
  }

  state_.fates.insert(state_.fates.end(), settled.begin(), settled.end());
  for (const Label& label : feedback.labels) {
    if (Contains(known, label.sample_id)) {
      state_.fates.push_back({label.sample_id, feedback.feedback_id, ""});  // The judge will tell.
    }
  }
  state_.labels_waiting = true;
  state_.feedback_id = feedback.feedback_id;
  state_.is_searched = true;
  // A probation under way ends here: the labels are the better judge.
  state_.state = AdapterState::kAdapting;
  Action next = Do(options_.has_pictures ? ActionKind::kSearchInput : ActionKind::kJudge);
  next.event_id = state_.event_id;
  next.adaptation.bundle = state_.served.bundle;
  next.adaptation.hypothesis = state_.served.hypothesis;
  actions.push_back(std::move(next));
  return actions;
}

Actions Adapter::OnJudged(const Judgement& judgement, const Adaptation& composed) {
  state_.labels_waiting = false;
  state_.is_judged = true;
  const ChallengerScore& winner = judgement.scores[judgement.winner];
  state_.labels_right =
      judgement.labels > 0 ? static_cast<double>(winner.correct) / judgement.labels : 1.0;
  for (LabelFate& fate : state_.fates) {
    if (!fate.fate.empty()) continue;
    const bool is_learned = std::any_of(
        composed.entries.begin(), composed.entries.end(), [&](const MemoryEntry& entry) {
          return entry.sample_id == fate.sample_id && entry.origin == LabelOrigin::kPerson;
        });
    fate.fate = is_learned ? "learned" : "judged";
  }

  const std::string figures =
      StrCat(winner.correct, " of ", judgement.labels, " labels right with ", composed.name());
  Actions actions;
  if (options_.mode == Mode::kMonitoringOnly) {
    // The mode changed while the labels were on their way.
    for (LabelFate& fate : state_.fates) {
      if (fate.fate == "learned" || fate.fate == "judged") fate.fate = "monitoring_only";
    }
    state_.state = AdapterState::kStable;
    actions.push_back(Report(StrCat("monitoring only, nothing is changed: ", figures)));
  } else if (!ServesTheSame(composed, state_.served)) {
    actions = Serve(composed, StrCat("serving: ", figures));
  } else {
    // Nothing to change: what is served stays, now with the labels behind it.
    const bool is_new = state_.served.event_id == state_.event_id && !state_.served.is_none();
    state_.served = composed;
    state_.state = AtRest();
    if (is_new) actions.push_back(Do(ActionKind::kCommit));
    actions.push_back(Do(ActionKind::kRebaseline));
    actions.push_back(Report(StrCat(
        state_.state == AdapterState::kEscalated ? "nothing here helps: " : "kept: ", figures)));
  }
  for (Action& action : actions) {
    if (action.kind != ActionKind::kReport) continue;
    action.feedback_id = state_.feedback_id;
    action.fates = std::move(state_.fates);
    break;
  }
  state_.fates.clear();
  return actions;
}

Actions Adapter::OnProbation(const ProbationSample& sample) {
  if (state_.state != AdapterState::kProbation) return {};
  ++state_.probation_count;
  state_.champion_distance += static_cast<double>(sample.champion_distance);
  state_.champion_confidence += static_cast<double>(sample.champion_confidence);
  state_.challenger_distance += static_cast<double>(sample.challenger_distance);
  state_.challenger_confidence += static_cast<double>(sample.challenger_confidence);
  if (state_.probation_count < options_.probation_samples) return {};

  const double n = static_cast<double>(state_.probation_count);
  const std::string figures =
      StrCat("over ", state_.probation_count, " samples distance ",
             FormatShort(state_.challenger_distance / n),
             " (before: ", FormatShort(state_.champion_distance / n), "), confidence ",
             FormatShort(state_.challenger_confidence / n),
             " (before: ", FormatShort(state_.champion_confidence / n), ")");
  const bool is_farther =
      state_.challenger_distance > options_.probation_distance_max * state_.champion_distance;
  const bool is_less_sure = state_.challenger_confidence <
                            state_.champion_confidence - options_.probation_confidence_loss * n;
  if (is_farther && is_less_sure)
    return RollBack(state_.champion, "rolled back: worse than before: " + figures);
  return Commit("committed: " + figures);
}

Actions Adapter::OnCanary(double accuracy_before, double accuracy_after) {
  if (state_.state != AdapterState::kProbation ||
      state_.served.challenger.memory == Memory::kNone ||
      accuracy_after >= accuracy_before - options_.canary_loss_max) {
    return {};
  }
  return RollBack(state_.champion,
                  StrCat("rolled back: canary accuracy fell from ", FormatShort(accuracy_before),
                         " to ", FormatShort(accuracy_after)));
}

void Adapter::OnBundle(const Carried& carried) {
  state_.served = carried.adaptation;
  state_.champion = carried.adaptation;
  state_.before = Adaptation{};
  state_.before.bundle = carried.adaptation.bundle;
  // A new model answers an escalation; labels that are still awaited stay awaited.
  if (state_.state == AdapterState::kProbation || state_.state == AdapterState::kRolledBack ||
      state_.state == AdapterState::kEscalated) {
    state_.state = IsCollecting() ? AdapterState::kAdapting : AdapterState::kStable;
  }
}

Bytes Adapter::Save() const {
  WireWriter writer;
  writer.Raw(kMagic);
  writer.U32(kVersion);
  writer.U8(static_cast<std::uint8_t>(state_.state));
  writer.Text(state_.event_id);
  writer.U64(state_.drift_index);
  writer.U64(state_.waiting_since);
  writer.U64(state_.suppressed);
  writer.U64(state_.suppressed_since);
  writer.U8(state_.is_searched ? 1 : 0);
  writer.U8(state_.is_asked ? 1 : 0);
  writer.U8(state_.labels_waiting ? 1 : 0);
  writer.U8(state_.is_judged ? 1 : 0);
  writer.F64(state_.labels_right);
  writer.Text(state_.feedback_id);
  writer.U32(state_.probation_count);
  writer.F64(state_.champion_distance);
  writer.F64(state_.champion_confidence);
  writer.F64(state_.challenger_distance);
  writer.F64(state_.challenger_confidence);
  writer.U32(static_cast<std::uint32_t>(state_.fates.size()));
  for (const LabelFate& fate : state_.fates) {
    writer.Text(fate.sample_id);
    writer.Text(fate.feedback_id);
    writer.Text(fate.fate);
  }
  WriteAdaptation(writer, state_.served);
  WriteAdaptation(writer, state_.champion);
  WriteAdaptation(writer, state_.before);
  writer.U32(base::Crc32c(writer.bytes()));
  return writer.Take();
}

Status Adapter::Restore(ByteView bytes) {
  const auto corrupt = [](std::string_view what) {
    return Error{ErrorCode::kCorrupt, StrCat("adapter: ", what)};
  };
  if (bytes.size() < 12) return corrupt("cut short");
  WireReader tail(bytes.last(4));
  if (tail.U32() != base::Crc32c(bytes.first(bytes.size() - 4))) return corrupt("CRC differs");
  WireReader reader(bytes.first(bytes.size() - 4));
  const ByteView magic = reader.Raw(kMagic.size());
  if (!std::equal(magic.begin(), magic.end(), kMagic.begin())) return corrupt("not one");
  const std::uint32_t version = reader.U32();
  if (version < 1 || version > kVersion) {
    return Error{ErrorCode::kUnsupported, StrCat("adapter: version ", version)};
  }
  State state;
  const std::uint8_t kind = reader.U8();
  if (kind > static_cast<std::uint8_t>(AdapterState::kEscalated)) return corrupt("unknown state");
  state.state = static_cast<AdapterState>(kind);
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
  state.probation_count = reader.U32();
  state.champion_distance = reader.F64();
  state.champion_confidence = reader.F64();
  state.challenger_distance = reader.F64();
  state.challenger_confidence = reader.F64();
  state.fates.resize(reader.Count(12));
  for (LabelFate& fate : state.fates) {
    fate.sample_id = reader.Text();
    fate.feedback_id = reader.Text();
    fate.fate = reader.Text();
  }
  ASSIGN_OR_RETURN(state.served, ReadAdaptation(reader, version));
  ASSIGN_OR_RETURN(state.champion, ReadAdaptation(reader, version));
  ASSIGN_OR_RETURN(state.before, ReadAdaptation(reader, version));
  if (!reader.ok() || !reader.at_end()) return corrupt("of another length");
  for (const Adaptation* one : {&state.served, &state.champion, &state.before}) {
    if (one->bundle != state_.served.bundle) {
      return Error{ErrorCode::kConflict, "adapter: saved for another bundle"};
    }
  }
  state_ = std::move(state);
  return {};
}

}  // namespace tinylcm::adapt
