#include "tinylcm/pipeline/lifecycle.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "protocol/learned_model.h"
#include "tinylcm/adapt/pseudo_labels.h"
#include "tinylcm/adapt/retract.h"
#include "tinylcm/pipeline/accuracy.h"
#include "tinylcm/pipeline/taught.h"
#include "tinylcm/src/pipeline/feedback_intake.h"
#include "tinylcm/src/pipeline/input_searching.h"
#include "tinylcm/src/pipeline/judging.h"
#include "tinylcm/src/pipeline/pseudo_labelling.h"
#include "tinylcm/src/pipeline/question.h"
#include "tinylcm/src/pipeline/stage_making.h"

namespace tinylcm::pipeline {

using base::Bytes;
using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

// How many indices are claimed at once: a restart goes on behind them, so that none is used twice,
// and the record is written once in so many frames.
constexpr std::uint64_t kIndexBlock = 2000;
constexpr base::Duration kFullSaveEvery{60'000};
constexpr std::size_t kEventsKept = 16;
constexpr std::uint32_t kMedoids = 5;  // Named in an event before labels are asked for.
constexpr std::size_t kFeedbackKept = 64;
constexpr std::size_t kTransitionsShown = 16;
constexpr std::size_t kUnsentMax = 4;  // Models that wait for the queue.
constexpr std::size_t kHeldMax = 32;   // Feedback whose outcome is not live yet.
constexpr float kAbstainBelow = 0.5f;  // Escalated: what is more likely wrong than right.

// Says of labels that would have been applied that nothing was learned from them.
void Unuse(adapt::Action& report) {
  for (adapt::LabelFate& fate : report.fates) {
    if (fate.fate == "learned" || fate.fate == "judged") fate.fate = "unused";
  }
}

// How many samples after the alarm the explanation is refined, before it is sent.
constexpr std::uint32_t kExplainedAt[] = {25, 100};

protocol::PackageFile JsonFile(std::string_view path, const Json& json) {
  return {std::string(path), "application/json", base::ToBytes(json.Write())};
}

// Samples between false alarms; nothing where a limit was set by hand, for then nobody knows.
std::optional<std::int64_t> TargetSamples(const LifecycleOptions& options) {
  if (options.alarm && drift::HasLimit(options.alarm->detector, options.alarm->options)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(options.false_alarm_every);
}

}  // namespace

Json ToJson(const drift::DriftMonitor::Standing& standing) {
  const auto names = [](drift::SignalMask mask) {
    Json list = Json::MakeArray();
    for (std::size_t i = 0; i < drift::kSignals; ++i) {
      const auto signal = static_cast<drift::Signal>(i);
      if ((mask & drift::Bit(signal)) != 0) list.Append(drift::Name(signal));
    }
    return list;
  };
  return Json::MakeObject({{"phase", drift::Name(standing.phase)},
                           {"learned", standing.learned},
                           {"commission", standing.commission},
                           {"evidence", standing.statistic},
                           {"limit", standing.limit},
                           {"not_finite", standing.not_finite},
                           {"signals", names(standing.signals)},
                           {"unwatched", names(standing.unwatched)},
                           {"differs_from_factory", names(standing.differs)}});
}

void NameRunning(const model::ModelBundle& bundle, protocol::UpdateReport& report) {
  report.bundle = bundle.bundle;
  report.name = bundle.manifest.name;
  report.version = bundle.manifest.version;
  report.model_family = bundle.manifest.model_family;
  report.labels = bundle.manifest.labels;
}

Lifecycle::Lifecycle(const LifecycleOptions& options, Parts parts,
                     std::shared_ptr<const model::ModelBundle> bundle, Keeping keeping,
                     adapt::Quarantine quarantine)
    : options_(options),
      parts_(std::move(parts)),
      bundle_(std::move(bundle)),
      keeping_(std::move(keeping)),
      quarantine_(std::move(quarantine)),
      concepts_(
          Concepts::Open(*parts_.fs, *parts_.logger, options_.folder, bundle_, options_.seed)),
      event_log_(*parts_.fs, options_.folder) {
  machine_options_ = MakeMachineOptions();
  machine_ = adapt::MachineState::Fresh(BaseOf(*bundle_));
  SayIfNotAdaptable();
}

adapt::AdaptationPtr Lifecycle::BaseOf(const model::ModelBundle& bundle) {
  auto taught = TaughtBy(bundle);
  CHECK(taught.ok());  // Open and SwapBundle refuse a bundle whose notes cannot be read.
  return std::make_shared<const adapt::Adaptation>(std::move(*taught));
}

adapt::MachineOptions Lifecycle::MakeMachineOptions() const {
  adapt::MachineOptions options;
  options.mode = options_.mode;
  options.is_adaptable = bundle_->is_adaptable();
  options.quarantine_samples = options_.quarantine_samples;
  options.search_samples = std::min(options.search_samples, options_.quarantine_samples);
  options.concept_samples = std::min(options.concept_samples, options_.quarantine_samples);
  options.labels_asked = options_.labels_per_event;
  options.probation_samples = options_.probation_samples;
  options.patience_samples = options_.patience_samples;
  options.pseudo_labels = options_.pseudo_labels;
  return options;
}

void Lifecycle::SayIfNotAdaptable() {
  if (bundle_->is_adaptable() || options_.mode == adapt::Mode::kMonitoringOnly) return;
  parts_.logger->Info(StrCat("bundle ", bundle_->manifest.name, " ", bundle_->manifest.version,
                             " answers by its ", classify::Name(bundle_->config.classifier),
                             " head: drift is watched, nothing is adapted"));
}

Result<std::unique_ptr<Lifecycle>> Lifecycle::Open(
    const LifecycleOptions& options, Parts parts,
    std::shared_ptr<const model::ModelBundle> bundle) {
  base::FileSystem& fs = *parts.fs;
  base::Logger& logger = *parts.logger;
  RETURN_IF_ERROR(TaughtBy(*bundle));
  RETURN_IF_ERROR(fs.CreateDirectories(options.folder));
  ASSIGN_OR_RETURN(Keeping keeping, Keeping::Open(fs, logger, options.folder));
  ASSIGN_OR_RETURN(adapt::Quarantine quarantine,
                   Keeping::OpenQuarantine(fs, logger, options.folder, options.quarantine_samples));
  std::unique_ptr<Lifecycle> lifecycle(new Lifecycle(options, std::move(parts), std::move(bundle),
                                                     std::move(keeping), std::move(quarantine)));
  RETURN_IF_ERROR(lifecycle->Restore());
  return lifecycle;
}

// ---- What survives a restart ------------------------------------------------------------------

Status Lifecycle::ReadRecord() {
  ASSIGN_OR_RETURN(LifecycleRecord record, ParseLifecycleRecord(base::AsText(*keeping_.record())));
  first_index_ = record.reserved_index;
  revision_ = record.revision;
  labels_applied_ = record.labels_applied;
  adaptations_ = record.adaptations;
  rollbacks_ = record.rollbacks;
  escalations_ = record.escalations;
  bundle_swap_gap_ms_ = record.swap_gap_ms;
  feedback_done_ = std::move(record.feedback_done);
  if (record.ask_again) {
    adapt::Action ask;
    ask.kind = adapt::ActionKind::kAskForLabels;
    ask.event_id = *record.ask_again;
    ask.labels = options_.labels_per_event;
    waiting_.push_back(std::move(ask));
  }
  event_ = std::move(record.event);
  held_reports_ = std::move(record.held_reports);
  sent_samples_ = std::move(record.sent_samples);
  events_ = std::move(record.events);
  // An adaptation belongs to its bundle; which one runs is the slots' word.
  for (KeptAdapter& kept : record.adapters) {
    if (kept.bundle != bundle_->bundle) {
      previous_ = std::move(kept);
      continue;
    }
    auto bytes = keeping_.ReadAdapter(kept.file);
    auto restored = bytes.ok() ? adapt::ParseMachineState(*bytes, BaseOf(*bundle_))
                               : Result<adapt::MachineState>(bytes.error());
    if (!restored.ok()) {
      parts_.logger->Error("adaptation dropped: " + restored.error().message);
      continue;
    }
    machine_ = std::move(*restored);
    keeping_.AdapterIs(kept.file, std::move(*bytes));
  }
  return {};
}

void Lifecycle::BeginAnew(const std::string& why) {
  parts_.logger->Error("the record cannot be read, the device begins anew: " + why);
  machine_ = adapt::MachineState::Fresh(BaseOf(*bundle_));
  previous_ = {};
  event_.reset();
  events_.clear();
  feedback_done_.clear();
  held_reports_.clear();
  sent_samples_.clear();
  waiting_.clear();
  // Which indices were used is not known; the milliseconds since 1970 surely were not.
  first_index_ = static_cast<std::uint64_t>(parts_.clock->Now().time_since_epoch().count());
  revision_ = labels_applied_ = adaptations_ = rollbacks_ = escalations_ = 0;
}

Status Lifecycle::Restore() {
  if (keeping_.record()) {
    const Status read = ReadRecord();
    if (!read.ok()) BeginAnew(read.error().message);
  }
  reserved_index_ = first_index_ + kIndexBlock;
  RETURN_IF_ERROR(quarantine_.SetClasses(bundle_->manifest.labels));
  // What serves names classes the quarantine may have lost with its file.
  for (const std::string& name : machine_.served->opened) {
    RETURN_IF_ERROR(quarantine_.OpenClass(name));
  }
  if (event_) quarantine_.Hold(event_->samples);
  auto log = EventLog::Open(*parts_.fs, options_.folder);
  if (log.ok()) {
    event_log_ = std::move(*log);
  } else {
    parts_.logger->Error("the events of before are not shown: " + log.error().message);
  }

  auto serving = Make(bundle_, *machine_.served, revision_);
  // A bundle that cannot be served by itself (its runtime is missing) is no adaptation's fault.
  if (!serving.ok() && !machine_.served->is_none()) {
    parts_.logger->Error("the saved adaptation cannot be served, the bundle alone runs: " +
                         serving.error().message);
    machine_ = adapt::MachineState::Fresh(BaseOf(*bundle_));
    serving = Make(bundle_, *machine_.served, ++revision_);
  }
  if (!serving.ok()) return serving.error();
  ASSIGN_OR_RETURN(std::unique_ptr<drift::DriftMonitor> monitor,
                   MakeMonitor(options_, *bundle_, (*serving)->signals()));
  keeping_.RestoreDrift(*monitor, MonitorBelongsTo());
  // An alarm that was saved before anybody acted on it must come again.
  const bool is_at_rest = machine_.state == adapt::AdaptState::kStable ||
                          machine_.state == adapt::AdaptState::kRolledBack ||
                          machine_.state == adapt::AdaptState::kEscalated;
  if (monitor->phase() == drift::DriftMonitor::Phase::kOpen && is_at_rest) monitor->Resume();
  first_stage_ = std::make_unique<Stage>();
  first_stage_->serving = std::move(*serving);
  first_stage_->monitor = std::move(monitor);
  if (machine_.state == adapt::AdaptState::kProbation) {
    ASSIGN_OR_RETURN(way_back_, MakeWayBack());
    probation_revision_ = revision_;
  }
  offered_ = machine_.served;
  SayServing("starts with ", *offered_);
  // Labels were being judged: they are judged again.
  if (machine_.labels_waiting) JudgeAgain();
  Save();
  UpdateWants();
  return {};
}

void Lifecycle::JudgeAgain() {
  adapt::Action again;
  again.kind = adapt::ActionKind::kSearchInput;
  again.event_id = machine_.event_id;
  waiting_.push_back(std::move(again));
}

// Which reference it is that drift.bin holds: of a bundle, as it is adapted.
std::uint64_t Lifecycle::MonitorBelongsTo() const {
  return drift::OptionsDigest().AddText(bundle_->bundle).Add(revision_).value();
}

void Lifecycle::Save() {
  const auto kept = keeping_.KeepAdapter(adapt::Serialise(machine_));
  if (!kept.ok()) {
    parts_.logger->Error("adaptation not saved: " + kept.error().message);
    return;  // The record still names the one before, whole.
  }
  const bool is_on_trial = machine_.state == adapt::AdaptState::kProbation && way_back_;
  if (!is_on_trial) keeping_.DropWayBack();
  LifecycleRecord record = MakeRecord(*kept);
  const Status written = keeping_.Write(record);
  if (!written.ok()) {
    parts_.logger->Error("lifecycle not saved: " + written.error().message);
    return;
  }
  if (!is_on_trial) return;
  record.revision = way_back_->serving().revision();
  ++record.rollbacks;
  const adapt::MachineState back = adapt::RolledBack(
      machine_, machine_.drift_index, "rolled back; a restart came before the reason was written");
  const Status prepared = keeping_.PrepareWayBack(std::move(record), adapt::Serialise(back));
  // Without it going back is written like any other change.
  if (!prepared.ok()) parts_.logger->Warning("way back not ready: " + prepared.error().message);
}

LifecycleRecord Lifecycle::MakeRecord(const std::string& file) const {
  LifecycleRecord record;
  record.reserved_index = reserved_index_;
  record.revision = revision_;
  record.labels_applied = labels_applied_;
  record.adaptations = adaptations_;
  record.rollbacks = rollbacks_;
  record.escalations = escalations_;
  record.swap_gap_ms = bundle_swap_gap_ms_;
  record.feedback_done = feedback_done_;
  for (const adapt::Action& action : waiting_) {
    if (action.kind == adapt::ActionKind::kAskForLabels) record.ask_again = action.event_id;
  }
  record.event = event_;
  record.events = events_;
  record.held_reports = held_reports_;
  record.sent_samples = sent_samples_;
  record.adapters.push_back({bundle_->bundle, file});
  if (!previous_.bundle.empty() && previous_.bundle != bundle_->bundle) {
    record.adapters.push_back(previous_);
  }
  return record;
}

void Lifecycle::SayServing(const char* what, const adapt::Adaptation& adaptation) const {
  parts_.logger->Info(StrCat(what, adaptation.name(), " ", adapt::DigestOf(adaptation),
                             " (revision ", revision_, ")"));
}

void Lifecycle::SaveAll() {
  // A stream may end before enough is collected to ask; then this is what is known.
  if (path_ != nullptr && machine_.is_collecting && quarantine_.current_count() > 0) Explain();
  const Status synced = quarantine_.Sync();
  if (!synced.ok()) parts_.logger->Error("quarantine not synced: " + synced.error().message);
  if (path_ != nullptr) {
    const Status written = keeping_.SaveDrift(path_->SaveDriftState(MonitorBelongsTo()));
    if (!written.ok()) parts_.logger->Error("drift state not saved: " + written.error().message);
  }
  Save();
  last_full_save_ = parts_.clock->Uptime();
}

void Lifecycle::Tick() {
  if (path_ != nullptr) path_->Collect();
  const Status synced = quarantine_.Sync();
  if (!synced.ok()) parts_.logger->Error("quarantine not synced: " + synced.error().message);
  // Full, but the question was not asked: it stopped by bytes, or a kill came in between.
  if (path_ != nullptr && machine_.is_collecting && quarantine_.is_full()) {
    Happened(
        adapt::Collected{last_index_, static_cast<std::uint32_t>(quarantine_.taken_count()), true});
  }
  if (path_ != nullptr && !held_reports_.empty()) ReleaseReports();
  TryAgain();
  if (parts_.clock->Uptime() - last_full_save_ >= kFullSaveEvery) SaveAll();
}

// ---- What is made -----------------------------------------------------------------------------

std::unique_ptr<Stage> Lifecycle::TakeFirstStage() { return std::move(first_stage_); }

Result<std::unique_ptr<Serving>> Lifecycle::Make(
    const std::shared_ptr<const model::ModelBundle>& bundle, const adapt::Adaptation& adaptation,
    std::uint64_t revision) const {
  return MakeServing(parts_.open_engine, bundle, adaptation,
                     {.barcode = options_.barcode, .revision = revision});
}

Status Lifecycle::Workbench() {
  if (bench_ != nullptr) return {};
  ASSIGN_OR_RETURN(bench_, Make(bundle_, adapt::Adaptation{}, 0));
  return {};
}

void Lifecycle::UpdateWants() {
  const bool collects = machine_.is_collecting && !quarantine_.is_full();
  wants_frames_.store(swap_.has_value() || collects ||
                      machine_.state == adapt::AdaptState::kProbation);
  if (path_ != nullptr) path_->SetAbstain(machine_.is_abstaining() ? kAbstainBelow : 0.0f);
}

// ---- What happens -----------------------------------------------------------------------------

void Lifecycle::OnSeen(const Seen& seen) {
  last_index_ = seen.index;
  if (seen.revision > live_revision_) live_revision_ = seen.revision;
  if (!held_reports_.empty()) ReleaseReports();
  if (seen.index + kIndexBlock / 2 >= reserved_index_) {
    reserved_index_ = seen.index + kIndexBlock;
    Save();
  }
  const bool is_learning = seen.signal == drift::DriftSignal::kLearning;
  if (was_learning_ && !is_learning) {
    SaveAll();
    SayIfFieldDiffers();
    SayIfRuleIsBlind();
  }
  was_learning_ = is_learning;
  if (seen.signal == drift::DriftSignal::kDrift) NoteAlarm(seen);
  const bool has_frame = bundle_->is_image ? !seen.frame.picture.empty()
                                           : seen.frame.row.size() == bundle_->raw_count();
  if (has_frame && swap_ && seen.revision == swap_->first_revision) WatchHealth(seen);
  if (has_frame && machine_.is_collecting && !quarantine_.is_full()) {
    Status added = Workbench();
    if (added.ok()) added = AddToQuarantine(seen, options_.masks, *bench_, quarantine_);
    frames_are_kept_as_they_are_ =
        seen.frame.format == source::PictureFormat::kCompressed && options_.masks.empty();
    if (!added.ok()) {
      parts_.logger->Warning("not quarantined: " + added.error().message);
    } else {
      const auto count = static_cast<std::uint32_t>(quarantine_.taken_count());
      if (count == kExplainedAt[0] || count == kExplainedAt[1]) {
        Explain();
        Save();
      }
      Happened(adapt::Collected{seen.index, count, quarantine_.is_full()});
    }
  }
  if (has_frame && machine_.state == adapt::AdaptState::kProbation && way_back_ &&
      seen.revision == probation_revision_) {
    Inference shadow;
    trial_distance_ += static_cast<double>(seen.prediction.mean_distance);
    ++trial_count_;
    if (way_back_->serving().Infer(seen.frame, shadow).ok()) {
      path_->Compare(shadow.prediction.nearest == seen.prediction.nearest);
      Happened(adapt::Shadowed{seen.index,
                               {.champion_distance = shadow.prediction.anchor_distance,
                                .champion_confidence = shadow.prediction.confidence,
                                .challenger_distance = seen.prediction.anchor_distance,
                                .challenger_confidence = seen.prediction.confidence,
                                .champion_label = shadow.prediction.nearest,
                                .challenger_label = seen.prediction.nearest}});
    }
  }
  if (machine_options_.patience_samples > 0 || adapt::HasPseudo(*machine_.served)) {
    Happened(adapt::Passed{seen.index});
  }
}

// That the field is not the factory is no drift, but a person should know.
void Lifecycle::SayIfFieldDiffers() {
  const drift::DriftMonitor::Standing standing = path_->drift_standing();
  std::string names;
  for (std::size_t i = 0; i < drift::kSignals; ++i) {
    const auto signal = static_cast<drift::Signal>(i);
    if ((standing.differs & drift::Bit(signal)) == 0) continue;
    names += StrCat(names.empty() ? "" : ", ", drift::Name(signal));
  }
  if (names.empty()) return;
  parts_.logger->Warning(
      "what is usual here is not as it was when the bundle was fitted, by half a standard "
      "deviation "
      "or more: " +
      names);
}

// Spells are a property of the place; nobody can know of them when the rule is written.
void Lifecycle::SayIfRuleIsBlind() {
  if (!path_->drift_standing().is_rule_blind) return;
  const char* signal = drift::Name(options_.alarm->signal);
  parts_.logger->Warning(
      StrCat("the alarm rule watches ", signal, ", which comes in spells too long for ",
             options_.alarm->detector,
             " to be judged by a run length: it will not alarm; set its limit by hand, or have it "
             "watch another signal"));
}

void Lifecycle::NoteAlarm(const Seen& seen) {
  const std::string event_id = "e-" + parts_.make_id();
  adapt::Alarm alarm{
      .event_id = event_id, .index = seen.index, .log10_e = {}, .target_samples = {}};
  if (const auto explanation = path_->Explanation()) alarm.log10_e = explanation->log10_e;
  if (const auto target = TargetSamples(options_)) {
    alarm.target_samples = static_cast<double>(*target);
  }
  const std::uint64_t suppressed = machine_.suppressed_since;
  Happened(alarm);
  const bool is_opened = machine_.event_id == event_id;
  // No gate may make it deaf: where there was too little evidence, it watches on.
  if (!is_opened && machine_.suppressed_since == suppressed) path_->Resume();
  if (is_opened) {
    ForgetFigures();
    protocol::DriftEvent event;
    event.event_id = event_id;
    event.sample_index = seen.index;
    event.kind = "unknown";
    event.target_samples = TargetSamples(options_);
    event.suppressed_since_last = machine_.suppressed;
    event_ = std::move(event);
    alarm_time_ = parts_.clock->Now();
    EventSummary summary;
    summary.event_id = event_id;
    summary.index = seen.index;
    summary.frame_number = seen.frame_number;
    events_.push_back(std::move(summary));
    if (events_.size() > kEventsKept) events_.erase(events_.begin());
    Explain();
    parts_.logger->Warning(StrCat("drift ", event_id, ": ", event_->text));
  }
  Save();
}

// What is known of the open drift, into the event and its summary; without one they stay as they
// are, for a restart must not forget what was known.
void Lifecycle::Explain() {
  const auto explanation = path_->Explanation();
  if (!explanation || !event_) return;
  protocol::DriftEvent& event = *event_;
  pipeline::Describe(*explanation, path_->AccuracyDrop(explanation->change_index), *bundle_, event);
  for (EventSummary& summary : events_) {
    if (summary.event_id != event.event_id) continue;
    summary.kind = event.kind;
    summary.text = event.text;
    summary.channels.clear();
    for (const auto& channel : event.channels) summary.channels.push_back(channel.index);
  }
  NameMedoids();
  KeepEvent();
}

// Until labels are asked for, the samples that stand for what was collected since the alarm.
void Lifecycle::NameMedoids() {
  if (machine_.is_asked && machine_.event_id == event_->event_id) return;
  if (quarantine_.event_id() != event_->event_id) return;
  event_->samples.clear();
  for (const adapt::Quarantine::Asked& medoid : quarantine_.AskFor(kMedoids, options_.seed)) {
    event_->samples.push_back(medoid.sample_id);
  }
}

// For `tinylcm report`. What cannot be written there is missed by people only.
void Lifecycle::KeepEvent() {
  LoggedEvent logged{.at = alarm_time_, .frame_number = {}, .event = *event_};
  if (const LoggedEvent* known = event_log_.Find(event_->event_id)) {
    logged.at = known->at;
  } else if (alarm_time_ == base::Time{}) {
    logged.at = parts_.clock->Now();  // Begun in an earlier life that could not write it.
  }
  for (const EventSummary& summary : events_) {
    if (summary.event_id == event_->event_id) logged.frame_number = summary.frame_number;
  }
  const Status kept = event_log_.Keep(std::move(logged));
  if (!kept.ok()) parts_.logger->Warning("event log not written: " + kept.error().message);
}

IntakeContext Lifecycle::Intake() const {
  IntakeContext context;
  context.bundle = bundle_->bundle;
  context.names = bundle_->manifest.labels;
  context.open_event = machine_.event_id;
  context.may_change = EffectiveMode() != adapt::Mode::kMonitoringOnly;
  context.served = machine_.served.get();
  return context;
}

Status Lifecycle::OnFeedback(const protocol::Feedback& feedback) {
  const std::string& id = feedback.feedback_id;
  const bool is_held = std::ranges::any_of(
      held_reports_, [&](const HeldReport& held) { return held.report.feedback_id == id; });
  if (is_held) return {};  // Its acknowledgement is on the way.
  const bool is_judged_again =
      machine_.labels_waiting &&
      (machine_.feedback_id == id || std::ranges::any_of(machine_.fates, [&](const auto& fate) {
         return fate.feedback_id == id;
       }));
  if (is_judged_again && !waiting_.empty()) return {};  // After a kill; it is answered for then.
  if (std::ranges::find(feedback_done_, id) != feedback_done_.end()) {
    adapt::Action again;
    again.feedback_id = id;
    again.text = "this feedback was applied before";
    again.fates = FatesAgain(feedback, Intake(), quarantine_);
    // Labels that led to nothing wait for others beside them.
    const bool is_void =
        machine_.feedback_id == id && !machine_.is_judged && !machine_.labels_waiting;
    if (is_void) Unuse(again);
    return Report(again);
  }
  if (swap_) return Error{ErrorCode::kUnavailable, "feedback: a new bundle is being watched"};
  if (held_reports_.size() >= kHeldMax) {
    return Error{ErrorCode::kUnavailable, "feedback: what came before is not live yet"};
  }
  ASSIGN_OR_RETURN(TakenIn taken, TakeIn(feedback, Intake(), quarantine_));
  const adapt::Feedback& told = taken.told.feedback;
  labels_applied_ += told.labels.size();
  parts_.logger->Info(StrCat("feedback ", id, ": ", told.labels.size(), " labels, ",
                             told.retract.size(), " retracted"));
  for (const std::string& remark : taken.remarks) {
    parts_.logger->Warning(StrCat("feedback ", id, ": ", remark));
  }

  // Before anything is done: what acknowledges it may leave the device within Do.
  concepts_.ForgetLabels(told.retract);
  std::erase_if(unsent_, [&](const Model& model) {
    return adapt::IsTaughtBy(*model.adaptation, told.retract);
  });
  feedback_done_.push_back(id);
  if (feedback_done_.size() > kFeedbackKept) feedback_done_.erase(feedback_done_.begin());
  candidates_.clear();
  taken.told.index = last_index_;
  Happened(taken.told);
  Save();
  UpdateWants();
  return {};
}

Status Lifecycle::SendSamples(const std::string& event_id, std::uint32_t samples) {
  auto sent = std::ranges::find(sent_samples_, event_id, &SentSamples::event_id);
  const std::uint32_t before = sent == sent_samples_.end() ? 0 : sent->samples;
  if (samples <= before) return {};
  protocol::DriftEvent other;
  other.event_id = event_id;
  const bool is_newest = event_ && event_->event_id == event_id;
  protocol::DriftEvent event = is_newest ? *event_ : other;
  const std::size_t known = event.samples.size();
  std::vector<protocol::PackageFile> files = MakeSamples(
      {.labels = samples - before, .seed = options_.seed, .send_images = options_.send_images},
      *bundle_, quarantine_, event);
  const std::size_t count = event.samples.size() - known;
  RETURN_IF_ERROR(parts_.outbox->Send(protocol::kTypeSamples, bundle_->bundle, std::move(files)));
  parts_.logger->Info(StrCat("event ", event_id, ": ", samples - before,
                             " more samples were asked for, ", count, " are sent"));
  if (sent == sent_samples_.end()) {
    if (sent_samples_.size() >= kEventsKept) sent_samples_.erase(sent_samples_.begin());
    sent_samples_.push_back({event_id, samples});
  } else {
    sent->samples = samples;
  }
  if (is_newest) {
    event_ = std::move(event);
    quarantine_.Hold(event_->samples);
    KeepEvent();
  }
  Save();
  return {};
}

// What was collected since the alarm is what is usual: the live reference is made of it, as far as
// it goes, and learns on. The factory reference stays.
void Lifecycle::RebaselineFromCollected() {
  // Kept pictures may be masked, or compressed anew: then they are not what was watched. And a
  // quarantine does not know where in the cycle its samples were taken.
  const bool is_exact = !bundle_->is_image || frames_are_kept_as_they_are_;
  if (!is_exact || options_.cycle.count() > 0) {
    path_->Rebaseline();
    return;
  }
  auto serving = Make(bundle_, *machine_.served, 0);
  if (!serving.ok()) {
    parts_.logger->Warning("what was collected cannot be learned from: " + serving.error().message);
    path_->Rebaseline();
    return;
  }
  std::uint32_t taught = 0;
  path_->Rebaseline([&](drift::DriftMonitor& monitor) {
    Inference inference;
    const auto& samples = quarantine_.samples();
    for (std::size_t i = quarantine_.current_begin(); i < samples.size(); ++i) {
      if (monitor.phase() != drift::DriftMonitor::Phase::kLearning) break;
      source::Frame frame;
      frame.row = samples[i].raw;
      if (bundle_->is_image) {
        auto picture = quarantine_.Picture(samples[i].sample_id);
        if (!picture.ok()) continue;
        frame.row.clear();
        frame.picture = std::move(*picture);
      }
      if (!(*serving)->Infer(frame, inference).ok()) continue;
      drift::Sample sample;
      (*serving)->Measure(inference, sample);
      sample.index = samples[i].index;
      static_cast<void>(monitor.Observe(sample));
      ++taught;
    }
  });
  parts_.logger->Info(StrCat("what is usual is learned anew from ", taught,
                             " samples since the alarm, and those that come"));
}

// ---- What is done -----------------------------------------------------------------------------

void Lifecycle::Happened(const adapt::MachineEvent& event) {
  const adapt::AdaptState was = machine_.state;
  const std::uint64_t logged = machine_.log_count;
  adapt::Step step = adapt::Next(machine_options_, std::move(machine_), event);
  machine_ = std::move(step.state);
  if (was != machine_.state && machine_.state == adapt::AdaptState::kEscalated) ++escalations_;
  for (std::size_t i = machine_.log.size() -
                       std::min<std::size_t>(machine_.log.size(), machine_.log_count - logged);
       i < machine_.log.size(); ++i) {
    const adapt::Transition& transition = machine_.log[i];
    parts_.logger->Info(StrCat("state ", adapt::Name(transition.from), " -> ",
                               adapt::Name(transition.to), ": ", transition.why));
  }
  if (!step.actions.empty()) {
    Do(std::move(step.actions));
  } else if (machine_.log_count != logged) {
    Save();
    UpdateWants();
  }
}

// One after the other, also what the machine says to their outcomes.
void Lifecycle::Do(adapt::Actions actions) {
  std::move(actions.begin(), actions.end(), std::back_inserter(pending_));
  if (is_doing_) return;
  is_doing_ = true;
  while (!pending_.empty()) {
    const adapt::Action action = std::move(pending_.front());
    pending_.pop_front();
    const bool is_serving = action.kind == adapt::ActionKind::kServe;
    const bool is_rollback = action.kind == adapt::ActionKind::kRollBack;
    if (swap_ && (is_serving || is_rollback)) {
      waiting_.push_back(action);  // One change of what serves at a time.
      continue;
    }
    if (action.kind == adapt::ActionKind::kReport) {
      SayIfKept();
      Save();
    }
    const Status done = DoOne(action);
    if (done.ok()) continue;
    parts_.logger->Error(StrCat(adapt::Name(action.kind), ": ", done.error().message));
    const ErrorCode code = done.error().code;
    if (is_serving) {
      Refuse(done.error().message);
    } else if (is_rollback || code == ErrorCode::kExhausted || code == ErrorCode::kUnavailable) {
      waiting_.push_back(action);
    } else {
      FailedFor(action, done.error().message);
    }
  }
  is_doing_ = false;
  SayIfKept();
  Save();
  UpdateWants();
}

// What serves may stay and have other labels behind it, hence another digest: said, as every digest
// is, before it is written down.
void Lifecycle::SayIfKept() {
  if (offered_ == nullptr || offered_ == machine_.served || swap_ || !waiting_.empty()) return;
  if (*machine_.served == *offered_) return;
  offered_ = machine_.served;
  SayServing("serving ", *offered_);
}

// What was to be served cannot be: its report, which still waits, says so instead.
void Lifecycle::Refuse(const std::string& why) {
  std::deque<adapt::Action> rest = std::exchange(pending_, {});
  Happened(adapt::ServeRefused{last_index_, why});
  const auto is_report = [](const adapt::Action& action) {
    return action.kind == adapt::ActionKind::kReport;
  };
  const auto said = std::find_if(pending_.begin(), pending_.end(), is_report);
  const auto planned = std::find_if(rest.begin(), rest.end(), is_report);
  if (said != pending_.end() && planned != rest.end()) {
    planned->text = said->text;
    Unuse(*planned);  // Nothing that serves has learned from them.
    pending_.erase(said);
  }
  std::move(rest.begin(), rest.end(), std::back_inserter(pending_));
}

// It will not be otherwise next time, so it does not wait; but labels that wait are answered for,
// and no alarm is kept back for the sake of what never comes.
void Lifecycle::FailedFor(const adapt::Action& action, const std::string& why) {
  if (action.kind == adapt::ActionKind::kSearchInput) {
    adapt::Searched nothing;
    nothing.index = last_index_;
    nothing.accuracy = AccuracySinceTheAlarm();
    Happened(nothing);
  } else if (action.kind == adapt::ActionKind::kJudge) {
    adapt::Judged nothing;
    nothing.index = last_index_;
    nothing.figures.is_trusted = false;
    nothing.figures.why = "the labels cannot be judged: " + why;
    nothing.composed = machine_.served;
    const std::size_t before = pending_.size();
    Happened(nothing);
    for (std::size_t i = before; i < pending_.size(); ++i) Unuse(pending_[i]);
  }
}

void Lifecycle::TryAgain() {
  if (path_ != nullptr) SendUnsent();
  if (waiting_.empty() || path_ == nullptr) return;
  Do(std::exchange(waiting_, {}));
}

Status Lifecycle::DoOne(const adapt::Action& action) {
  switch (action.kind) {
    case adapt::ActionKind::kBeginQuarantine:
      return quarantine_.Begin(action.event_id);
    case adapt::ActionKind::kAskForLabels:
      return AskForLabels(action);
    case adapt::ActionKind::kRecognise:
      return Recognise();
    case adapt::ActionKind::kPseudoLabel:
      return PseudoLabel(action);
    case adapt::ActionKind::kSearchInput:
      return SearchInput();
    case adapt::ActionKind::kJudge:
      return Judge(action);
    case adapt::ActionKind::kServe:
    case adapt::ActionKind::kRollBack:
      return Serve(action);
    case adapt::ActionKind::kCommit:
      Commit(action);
      // What no person said is for here and now: it is kept nowhere, and no other device's.
      return adapt::HasPseudo(*action.adaptation) ? Status{} : SendModel(action.adaptation);
    case adapt::ActionKind::kRebaseline:
      if (action.from_collected) {
        RebaselineFromCollected();
      } else {
        path_->Rebaseline();
      }
      return {};
    case adapt::ActionKind::kReport:
      return Report(action);
  }
  return {};
}

Status Lifecycle::AskForLabels(const adapt::Action& action) {
  if (!event_ || event_->event_id != action.event_id) {
    event_ = protocol::DriftEvent{};
    event_->event_id = action.event_id;
    event_->sample_index = machine_.drift_index;
    event_->kind = "unknown";
    alarm_time_ = parts_.clock->Now();
  }
  protocol::DriftEvent& event = *event_;
  event.target_samples = TargetSamples(options_);
  event.suppressed_since_last = machine_.suppressed;
  Explain();

  std::vector<protocol::PackageFile> files = MakeQuestion(
      {.labels = action.labels, .seed = options_.seed, .send_images = options_.send_images},
      *bundle_, quarantine_, event);
  quarantine_.Hold(event.samples);
  KeepEvent();
  return parts_.outbox->Send(protocol::kTypeDriftEvent, bundle_->bundle, std::move(files));
}

adapt::AccuracyClaim Lifecycle::AccuracySinceTheAlarm() const {
  const accuracy::Estimate estimate = path_->AccuracySince(machine_.drift_index);
  return {.is_known = estimate.known(),
          .mean = estimate.mean,
          .low = estimate.low,
          .high = estimate.high,
          .gap = estimate.gap};
}

Status Lifecycle::SearchInput() {
  adapt::Searched event;
  event.index = last_index_;
  event.accuracy = AccuracySinceTheAlarm();
  RETURN_IF_ERROR(Workbench());
  ASSIGN_OR_RETURN(InputSearched searched,
                   pipeline::SearchInput(*bench_, quarantine_, machine_.served->hypothesis));
  event.result = std::move(searched.result);
  std::move(searched.candidates.begin(), searched.candidates.end(),
            std::back_inserter(candidates_));
  parts_.logger->Info(StrCat("input search over ", event.result.judged,
                             " samples: ", event.result.scores[event.result.best].name, " at ",
                             event.result.ratio, " of identity's distance",
                             event.result.is_adopted ? ", adopted" : ""));
  Happened(event);
  return {};
}

Status Lifecycle::Judge(const adapt::Action& action) {
  RETURN_IF_ERROR(Workbench());
  ASSIGN_OR_RETURN(
      Judged judged,
      JudgeChallengers(*bench_, quarantine_, action.adaptation->hypothesis, action.event_id,
                       options_.seed, adapt::WithoutPseudo(*machine_.served)));
  const adapt::Judgement& judgement = judged.judgement;
  std::move(judged.candidates.begin(), judged.candidates.end(), std::back_inserter(candidates_));
  const adapt::ChallengerScore& winner = judgement.scores[judgement.winner];
  parts_.logger->Info(StrCat("judged ", judgement.scores.size(), " challengers by ",
                             judgement.labels, " labels: ", winner.kind.name()));
  adapt::Judged event;
  event.index = last_index_;
  event.figures = std::move(judged.figures);
  labels_before_.reset();
  labels_after_.reset();
  if (const auto labels = static_cast<double>(event.figures.labels); labels > 0.0) {
    labels_before_ = event.figures.correct_before / labels;
    labels_after_ = event.figures.correct / labels;
  }
  event.composed = std::make_shared<const adapt::Adaptation>(std::move(judged.composed));
  Happened(event);
  return {};
}

Status Lifecycle::PseudoLabel(const adapt::Action& action) {
  if (quarantine_.event_id() != action.event_id) return {};  // It waited until the next alarm.
  RETURN_IF_ERROR(Workbench());
  ASSIGN_OR_RETURN(PseudoLabelled labelled, MakePseudo(*bench_, quarantine_, *machine_.served,
                                                       action.event_id, options_.seed));
  parts_.logger->Info("pseudo-labels: " + labelled.why);
  Happened(adapt::PseudoLabelled{last_index_, std::move(labelled.adaptation), labelled.why});
  return {};
}

Status Lifecycle::Recognise() {
  adapt::Recognised event;
  event.index = last_index_;
  auto met = concepts_.Recognise(
      quarantine_, machine_.served, machine_.base,
      [this](const adapt::Adaptation& adaptation) { return Make(bundle_, adaptation, 0); });
  if (met.ok()) {
    event.adaptation = std::move(met->adaptation);
    event.why = std::move(met->why);
    parts_.logger->Info("recognising: " + event.why);
  } else {
    event.why = met.error().message;
    parts_.logger->Warning("recognising: " + event.why);
  }
  Happened(event);
  return {};
}

void Lifecycle::Commit(const adapt::Action& action) {
  if (machine_.state != adapt::AdaptState::kProbation) way_back_.reset();
  if (quarantine_.event_id() != action.event_id || adapt::HasPseudo(*action.adaptation)) return;
  std::optional<double> distance;
  if (trial_count_ > 0) distance = trial_distance_ / static_cast<double>(trial_count_);
  concepts_.Learn(
      quarantine_, action.adaptation, machine_.base, distance,
      [this](const adapt::Adaptation& adaptation) { return Make(bundle_, adaptation, 0); });
}

Result<Lifecycle::WayBack> Lifecycle::MakeWayBack() const {
  WayBack way_back;
  way_back.adaptation = machine_.champion;
  way_back.stage = std::make_unique<Stage>();
  ASSIGN_OR_RETURN(way_back.stage->serving, Make(bundle_, *machine_.champion, revision_ + 1));
  if (path_ != nullptr) path_->Prepare(*way_back.stage);
  return way_back;
}

Status Lifecycle::Serve(const adapt::Action& action) {
  return action.kind == adapt::ActionKind::kRollBack ? GoBack(action) : Try(action);
}

Status Lifecycle::Try(const adapt::Action& action) {
  ASSIGN_OR_RETURN(std::unique_ptr<Serving> next, Make(bundle_, *action.adaptation, revision_ + 1));
  canary_before_.reset();
  canary_after_.reset();
  ASSIGN_OR_RETURN(snapshot_, Keep(*machine_.champion, "before " + action.adaptation->name()));
  ++revision_;
  auto way_back = MakeWayBack();
  if (!way_back.ok()) {
    --revision_;
    return way_back.error();
  }
  way_back_ = std::move(*way_back);
  canary_before_ = way_back_->serving().CanaryAccuracy();
  canary_after_ = next->CanaryAccuracy();
  auto stage = std::make_unique<Stage>();
  stage->serving = std::move(next);
  ++adaptations_;
  probation_revision_ = revision_;
  trial_distance_ = 0.0;
  trial_count_ = 0;
  path_->Collect();
  path_->Offer(std::move(stage));
  offered_ = action.adaptation;
  SayServing("serving ", *offered_);
  Save();  // The way back lies ready before anything can fail.
  Happened(adapt::CanaryMeasured{last_index_, *canary_before_, *canary_after_,
                                 static_cast<std::uint32_t>(bundle_->canary.size())});
  return {};
}

// First what answers, then what a restart would bring, then what else there is to do.
Status Lifecycle::GoBack(const adapt::Action& action) {
  std::optional<WayBack> way_back = std::exchange(way_back_, std::nullopt);
  const bool is_ready = way_back && *way_back->adaptation == *action.adaptation &&
                        way_back->serving().revision() == revision_ + 1;
  std::unique_ptr<Stage> stage;
  if (is_ready) {
    stage = std::move(way_back->stage);
  } else {
    stage = std::make_unique<Stage>();
    ASSIGN_OR_RETURN(stage->serving, Make(bundle_, *action.adaptation, revision_ + 1));
  }
  path_->Collect();
  path_->Offer(std::move(stage));
  ++revision_;
  ++rollbacks_;
  probation_revision_ = revision_;
  SayServing("rolled back to ", *action.adaptation);
  if (is_ready) {
    const Status turned = keeping_.TurnBack();  // If not, the Save that follows writes it.
    if (!turned.ok()) parts_.logger->Warning("way back: " + turned.error().message);
  }
  canary_before_.reset();
  canary_after_.reset();
  labels_before_.reset();
  labels_after_.reset();
  // What failed, or what somebody undid, must not come again as if it had been good.
  const adapt::AdaptationPtr undone = std::exchange(offered_, action.adaptation);
  if (undone != nullptr && *undone != *offered_) concepts_.Forget(*undone);
  return {};
}

Status Lifecycle::Report(const adapt::Action& action) {
  protocol::AdaptationReport report;
  report.adaptation_id = "a-" + parts_.make_id();
  report.at = parts_.clock->Now();
  report.sample_index = last_index_;
  report.state = adapt::Name(machine_.state);
  if (!action.event_id.empty()) report.event_id = action.event_id;
  if (!action.feedback_id.empty()) report.feedback_id = action.feedback_id;
  report.hypothesis = machine_.served->hypothesis.name();
  report.challenger = machine_.served->challenger.name();
  report.candidates = std::move(candidates_);
  candidates_.clear();
  report.labels = OutcomesOf(action.fates);
  report.label_accuracy_before = labels_before_;
  report.label_accuracy_after = labels_after_;
  report.canary_before = canary_before_;
  report.canary_after = canary_after_;
  if (!snapshot_.empty()) report.snapshot = snapshot_;
  if (machine_.proposed != nullptr) {
    MeasureProposed();
    report.canary_before = proposed_before_;
    report.canary_after = proposed_after_;
    report.snapshot.reset();  // It was never tried: none was taken.
  }
  report.text = action.text;
  report.awaits = machine_.awaits();
  for (const adapt::OrderFate& fate : action.orders) {
    report.orders.push_back(
        {fate.order.adaptation_sha256, adapt::Name(fate.order.order), fate.outcome});
  }
  for (const adapt::Transition& transition : machine_.untold()) {
    report.transitions.push_back({transition.index, adapt::Name(transition.from),
                                  adapt::Name(transition.to), transition.why});
  }
  const adapt::AdaptationPtr& shown =
      machine_.proposed != nullptr ? machine_.proposed : machine_.served;
  const adapt::AdaptationPtr& behind =
      machine_.proposed != nullptr ? machine_.served : machine_.champion;
  if (!shown->is_none()) report.adaptation_sha256 = adapt::DigestOf(*shown);
  if (*behind != *shown && !behind->is_none()) report.champion_sha256 = adapt::DigestOf(*behind);
  parts_.logger->Info("adaptation: " + action.text);
  // What a feedback led to is acknowledged once it answers frames; a kill in between forgets
  // neither.
  if (report.feedback_id && live_revision_ < revision_) {
    held_reports_.push_back({revision_, std::move(report)});
    machine_ = adapt::ToldAll(std::move(machine_));
    Save();
    return {};
  }
  RETURN_IF_ERROR(SendReport(report));
  machine_ = adapt::ToldAll(std::move(machine_));
  return {};
}

Status Lifecycle::SendReport(const protocol::AdaptationReport& report) {
  std::vector<protocol::PackageFile> files;
  files.push_back(JsonFile(protocol::kAdaptationPath, protocol::ToJson(report)));
  const auto enclose = [&](const std::optional<std::string>& digest, std::string_view path) {
    for (const adapt::AdaptationPtr& one :
         {machine_.proposed, machine_.served, machine_.champion, machine_.before}) {
      if (!digest || one == nullptr || adapt::DigestOf(*one) != *digest) continue;
      files.push_back({std::string(path), "application/octet-stream", adapt::Serialise(*one)});
      return;
    }
  };
  enclose(report.adaptation_sha256, protocol::kAdaptationBytesPath);
  enclose(report.champion_sha256, protocol::kChampionBytesPath);
  return parts_.outbox->Send(protocol::kTypeAdaptation, bundle_->bundle, std::move(files));
}

void Lifecycle::ReleaseReports() {
  bool is_any = false;
  while (!held_reports_.empty() && held_reports_.front().revision <= live_revision_) {
    const Status sent = SendReport(held_reports_.front().report);
    if (!sent.ok()) {
      parts_.logger->Error("acknowledgement, later again: " + sent.error().message);
      break;
    }
    held_reports_.erase(held_reports_.begin());
    is_any = true;
  }
  if (is_any) Save();
}

void Lifecycle::MeasureProposed() {
  if (measured_ == machine_.proposed) return;
  measured_ = machine_.proposed;
  proposed_before_.reset();
  proposed_after_.reset();
  const auto before = Make(bundle_, *machine_.served, 0);
  const auto after = Make(bundle_, *machine_.proposed, 0);
  if (before.ok()) proposed_before_ = (*before)->CanaryAccuracy();
  if (after.ok()) proposed_after_ = (*after)->CanaryAccuracy();
}

// What was measured of an earlier change says nothing about the next.
void Lifecycle::ForgetFigures() {
  canary_before_.reset();
  canary_after_.reset();
  labels_before_.reset();
  labels_after_.reset();
  snapshot_.clear();
}

Status Lifecycle::SendModel(const adapt::AdaptationPtr& committed) {
  // What the bundle brought itself is known where it came from.
  if (committed->is_none() || adapt::ServesTheSame(*committed, *machine_.base)) return {};
  Bytes bytes = adapt::Serialise(*committed);
  protocol::LearnedModel model = LearnedOn(*bundle_, *committed, base::Sha256Hex(bytes));
  model.canary_before = canary_before_;
  model.canary_after = canary_after_;
  std::vector<protocol::PackageFile> files;
  files.push_back(JsonFile(protocol::kModelPath, protocol::ToJson(model)));
  files.push_back(
      {std::string(protocol::kAdaptationBytesPath), "application/octet-stream", std::move(bytes)});
  if (unsent_.size() >= kUnsentMax) unsent_.erase(unsent_.begin());
  unsent_.push_back({committed, bundle_->bundle, std::move(files)});
  SendUnsent();
  return {};
}

// Each as it was when it was committed, whatever serves by now.
void Lifecycle::SendUnsent() {
  while (!unsent_.empty()) {
    const Model& model = unsent_.front();
    const Status sent = parts_.outbox->Send(protocol::kTypeModel, model.bundle, model.files);
    if (!sent.ok()) {
      parts_.logger->Error("model: " + sent.error().message);
      const ErrorCode code = sent.error().code;
      if (code == ErrorCode::kExhausted || code == ErrorCode::kUnavailable) return;  // Later again.
    }
    unsent_.erase(unsent_.begin());
  }
}

// ---- Another bundle ---------------------------------------------------------------------------

Status Lifecycle::SwapBundle(std::shared_ptr<const model::ModelBundle> bundle,
                             const std::string& deployment_id, BundleDone done) {
  if (swap_) return Error{ErrorCode::kUnavailable, "swap: another one is under way"};
  RETURN_IF_ERROR(CheckSwap(*bundle_, *bundle));
  ASSIGN_OR_RETURN(std::unique_ptr<Serving> bench, Make(bundle, adapt::Adaptation{}, 0));
  {
    std::unique_ptr<feature::FeatureModel> engine;
    if (bundle->is_image) {
      ASSIGN_OR_RETURN(engine, parts_.open_engine(bundle->feature_model, bundle->engine_options()));
    }
    RETURN_IF_ERROR(model::CheckGolden(*bundle, engine.get()));
  }
  const bool is_taught = !bundle->taught.empty();

  // Labels keep their names, whatever their numbers in the new bundle; where it does not take over
  // after all, in the old one.
  RETURN_IF_ERROR(quarantine_.SetClasses(bundle->manifest.labels));
  const auto number_again = [this](void*) {
    const Status back = quarantine_.SetClasses(bundle_->manifest.labels);
    if (!back.ok()) parts_.logger->Error("quarantine: " + back.error().message);
  };
  const std::unique_ptr<void, decltype(number_again)> classes(this, number_again);
  // What was adapted goes over as far as it still holds under the new model.
  const adapt::Adaptation& served = *machine_.served;
  ASSIGN_OR_RETURN(adapt::Carried carried, CarryOver(*bench, served, quarantine_, options_.seed));

  ASSIGN_OR_RETURN(std::unique_ptr<Serving> next, Make(bundle, carried.adaptation, revision_ + 1));
  if (is_taught) RETURN_IF_ERROR(CheckTaught(*next));
  auto stage = std::make_unique<Stage>();
  ASSIGN_OR_RETURN(stage->monitor, MakeMonitor(options_, *bundle, next->signals()));
  ASSIGN_OR_RETURN(std::unique_ptr<Serving> old_serving, Make(bundle_, served, 0));
  const double new_canary = next->CanaryAccuracy();
  ASSIGN_OR_RETURN(snapshot_, TakeSnapshot("before bundle " + bundle->manifest.version));
  ASSIGN_OR_RETURN(std::string kept, keeping_.KeepAdapter(adapt::Serialise(machine_)));
  previous_ = {bundle_->bundle, std::move(kept)};
  const double old_canary = old_serving->CanaryAccuracy();
  Swap swap{.old_bundle = bundle_,
            .old_serving = std::move(old_serving),
            .deployment_id = deployment_id,
            .done = std::move(done),
            .report = {},
            .first_revision = revision_ + 1,
            .watch = HealthWatch(options_.health_frames, old_canary, new_canary,
                                 AskedOf(*bundle_, *bundle))};
  protocol::UpdateReport& report = swap.report;
  report.deployment_id = deployment_id;
  report.previous_bundle = bundle_->bundle;
  report.golden_ok = true;
  report.canary_accuracy = new_canary;
  if (carried.hypothesis_kept) report.hypothesis_kept = carried.adaptation.hypothesis.name();
  if (carried.challenger_kept) report.challenger_kept = carried.adaptation.challenger.name();
  // What another device's labels taught are none of this one's.
  report.labels_kept = is_taught ? 0 : carried.adaptation.labels.size();
  report.labels_dropped =
      served.labels.size() - std::min<std::size_t>(served.labels.size(), report.labels_kept);
  for (const std::string& line : carried.dropped) {
    report.detail += (report.detail.empty() ? "dropped: " : "; ") + line;
  }

  stage->serving = std::move(next);
  ++revision_;
  bundle_ = std::move(bundle);
  bench_ = std::move(bench);
  way_back_.reset();
  concepts_ = Concepts::Open(*parts_.fs, *parts_.logger, options_.folder, bundle_, options_.seed);
  machine_options_ = MakeMachineOptions();
  canary_before_.reset();
  canary_after_.reset();
  SayIfNotAdaptable();
  swap_ = std::move(swap);
  Happened(adapt::BundleTookOver{
      last_index_, std::make_shared<const adapt::Adaptation>(std::move(carried.adaptation)),
      BaseOf(*bundle_),
      StrCat("bundle ", bundle_->manifest.name, " ", bundle_->manifest.version, " takes over")});
  UpdateWants();
  path_->Collect();
  path_->Offer(std::move(stage));
  offered_ = machine_.served;
  parts_.logger->Info(StrCat("bundle ", bundle_->manifest.name, " ", bundle_->manifest.version,
                             " takes over (revision ", revision_, ")"));
  return {};
}

void Lifecycle::WatchHealth(const Seen& seen) {
  Swap& swap = *swap_;
  if (swap.watch.frames() == 0) bundle_swap_gap_ms_ = path_->swap_gap_ms();
  Inference shadow;
  if (!swap.old_serving->Infer(seen.frame, shadow).ok()) return;
  const bool agrees = shadow.prediction.nearest == seen.prediction.nearest;
  path_->Compare(agrees);
  const auto verdict =
      swap.watch.Add(agrees, seen.prediction.confidence, shadow.prediction.confidence);
  if (verdict) FinishSwap(verdict->is_healthy, verdict->detail);
}

void Lifecycle::FinishSwap(bool healthy, const std::string& detail) {
  Swap swap = std::move(*swap_);
  swap_.reset();
  protocol::UpdateReport& report = swap.report;
  report.at = parts_.clock->Now();
  report.swap_gap_ms = bundle_swap_gap_ms_;
  report.agreement = swap.watch.agreement();
  if (!healthy) {
    report.attempted_bundle = bundle_->bundle;
    report.detail = detail;
    bundle_ = swap.old_bundle;
    const Status classes = quarantine_.SetClasses(bundle_->manifest.labels);
    if (!classes.ok()) parts_.logger->Error("quarantine: " + classes.error().message);
    bench_.reset();
    machine_options_ = MakeMachineOptions();
    const auto bytes = keeping_.ReadAdapter(previous_.file);
    auto restored = bytes.ok() ? adapt::ParseMachineState(*bytes, BaseOf(*bundle_))
                               : Result<adapt::MachineState>(bytes.error());
    if (!restored.ok()) {
      parts_.logger->Error("adaptation dropped: " + restored.error().message);
      restored = adapt::MachineState::Fresh(BaseOf(*bundle_));
    }
    machine_ = std::move(*restored);
    // What waited was about the bundle that is gone.
    std::erase_if(waiting_, [](const adapt::Action& action) {
      return action.kind == adapt::ActionKind::kServe ||
             action.kind == adapt::ActionKind::kRollBack ||
             action.kind == adapt::ActionKind::kJudge ||
             action.kind == adapt::ActionKind::kRecognise ||
             action.kind == adapt::ActionKind::kPseudoLabel ||
             action.kind == adapt::ActionKind::kSearchInput;
    });
    if (machine_.labels_waiting) JudgeAgain();
    way_back_.reset();
    concepts_ = Concepts::Open(*parts_.fs, *parts_.logger, options_.folder, bundle_, options_.seed);
    previous_ = {};
    auto stage = std::make_unique<Stage>();
    auto serving = Make(bundle_, *machine_.served, revision_ + 1);
    auto monitor = serving.ok() ? MakeMonitor(options_, *bundle_, (*serving)->signals())
                                : Result<std::unique_ptr<drift::DriftMonitor>>(serving.error());
    if (serving.ok() && monitor.ok()) {
      stage->serving = std::move(*serving);
      stage->monitor = std::move(*monitor);
      ++revision_;
      path_->Collect();
      path_->Offer(std::move(stage));
      offered_ = machine_.served;
      if (machine_.state == adapt::AdaptState::kProbation) {
        auto way_back = MakeWayBack();
        if (way_back.ok()) way_back_ = std::move(*way_back);
        probation_revision_ = revision_;
      }
    } else {
      parts_.logger->Error("rollback: the bundle before cannot be made again; a restart will");
    }
    ++rollbacks_;
  }
  report.outcome =
      healthy ? protocol::UpdateOutcome::kInstalled : protocol::UpdateOutcome::kRolledBack;
  NameRunning(*bundle_, report);
  parts_.logger->Info(
      StrCat("bundle ", report.version, healthy ? " is healthy" : " runs again: ", detail));
  // First the slots, then the record: it holds both bundles' adaptations until then.
  swap.done(healthy, report);
  Save();
  UpdateWants();
  TryAgain();
}

Result<std::string> Lifecycle::Keep(const adapt::Adaptation& adaptation, const std::string& reason,
                                    bool is_proven) {
  return keeping_.snapshots().Save(
      parts_.clock->Now(), reason,
      {{"adaptation", adapt::Serialise(adaptation)}, {"bundle", base::ToBytes(bundle_->bundle)}},
      is_proven);
}

Result<std::string> Lifecycle::TakeSnapshot(const std::string& reason) {
  return Keep(*machine_.served, reason, machine_.state != adapt::AdaptState::kProbation);
}

std::vector<std::string> Lifecycle::labels() const {
  std::vector<std::string> names = bundle_->manifest.labels;
  const std::vector<std::string>& opened = machine_.served->opened;
  names.insert(names.end(), opened.begin(), opened.end());
  return names;
}

std::vector<const adapt::QuarantinedSample*> Lifecycle::WantedSamples() const {
  std::vector<const adapt::QuarantinedSample*> wanted;
  if (!event_ || event_->event_id != machine_.event_id || !machine_.is_asked) return wanted;
  for (const std::string& sample_id : event_->samples) {
    const adapt::QuarantinedSample* sample = quarantine_.Find(sample_id);
    if (sample != nullptr && !quarantine_.labels().contains(sample_id)) wanted.push_back(sample);
  }
  return wanted;
}

Status Lifecycle::RollBackTo(const std::string& snapshot_id) {
  if (swap_) return Error{ErrorCode::kUnavailable, "rollback: a new bundle is being watched"};
  ASSIGN_OR_RETURN(const state::Blobs blobs, keeping_.snapshots().Load(snapshot_id));
  const auto bytes = blobs.find("adaptation");
  const auto whose = blobs.find("bundle");
  if (bytes == blobs.end() || whose == blobs.end()) {
    return Error{ErrorCode::kInvalidArgument, snapshot_id + ": holds no adaptation"};
  }
  if (base::AsText(whose->second) != bundle_->bundle) {
    return Error{ErrorCode::kInvalidArgument, snapshot_id + ": is another bundle's"};
  }
  ASSIGN_OR_RETURN(adapt::Adaptation adaptation, adapt::ParseAdaptation(bytes->second));
  adaptation.bundle = bundle_->bundle;
  adapt::Action action;
  action.kind = adapt::ActionKind::kRollBack;
  action.adaptation = std::make_shared<const adapt::Adaptation>(std::move(adaptation));
  // What is left can be come back to, but a full disk keeps nobody from going back.
  const auto kept = TakeSnapshot("before going back to " + snapshot_id);
  if (!kept.ok()) parts_.logger->Warning(kept.error().message);
  RETURN_IF_ERROR(Serve(action));
  Happened(adapt::SnapshotRestored{last_index_, action.adaptation,
                                   "rolled back by a person to snapshot " + snapshot_id});
  return {};
}

const std::string& Lifecycle::Digested::Of(const adapt::AdaptationPtr& asked) {
  if (adaptation != asked) {
    adaptation = asked;
    digest = adapt::DigestOf(*asked);
  }
  return digest;
}

LifecycleStatus Lifecycle::status() const {
  LifecycleStatus status;
  if (path_ != nullptr) status.drift = path_->drift_standing();
  const bool learning = path_ != nullptr &&
                        status.drift.phase == drift::DriftMonitor::Phase::kLearning &&
                        machine_.state == adapt::AdaptState::kStable;
  status.state = learning ? "learning" : adapt::Name(machine_.state);
  status.mode = adapt::Name(EffectiveMode());
  status.hypothesis = machine_.served->hypothesis.name();
  status.challenger = machine_.served->challenger.name();
  status.awaits = machine_.awaits();
  const std::size_t shown = std::min(machine_.log.size(), kTransitionsShown);
  status.transitions.assign(machine_.log.end() - static_cast<std::ptrdiff_t>(shown),
                            machine_.log.end());
  if (!machine_.served->is_none()) {
    status.adaptation_sha256 = digest_of_served_.Of(machine_.served);
  }
  if (machine_.proposed != nullptr) {
    status.proposed = {.name = machine_.proposed->name(),
                       .adaptation_sha256 = digest_of_proposed_.Of(machine_.proposed)};
  }
  status.revision = revision_;
  status.labels_applied = labels_applied_;
  status.adaptations = adaptations_;
  status.rollbacks = rollbacks_;
  status.escalations = escalations_;
  status.swap_gap_ms = bundle_swap_gap_ms_;
  status.events = events_;
  return status;
}

void Lifecycle::Describe(protocol::DeviceMetrics& metrics) const {
  const LifecycleStatus now = status();
  Tell(path_->Accuracy(), metrics);
  metrics.drift_state = now.state;
  metrics.mode = now.mode;
  metrics.hypothesis = now.hypothesis;
  metrics.challenger = now.challenger;
  metrics.model_name = bundle_->manifest.name;
  metrics.model_version = bundle_->manifest.version;
  metrics.model_family = bundle_->manifest.model_family;
  metrics.bundle = bundle_->bundle;
}

}  // namespace tinylcm::pipeline
