#include "tinylcm/pipeline/lifecycle.h"

#include <algorithm>
#include <initializer_list>
#include <map>
#include <utility>

#include "base/crypto.h"
#include "base/json.h"
#include "base/text.h"
#include "protocol/safetensors.h"
#include "protocol/samples.h"
#include "tinylcm/feature/picture_figures.h"
#include "tinylcm/pipeline/accuracy.h"

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
constexpr std::uint64_t kAdapterBytesMax = 256u << 20;
constexpr char kDriftFile[] = "drift.bin";
constexpr std::uint64_t kDriftBytesMax = 16u << 20;
constexpr std::size_t kEventsKept = 16;
constexpr std::uint32_t kMedoids = 5;  // Named in an event before labels are asked for.
constexpr std::size_t kFeedbackKept = 64;
constexpr int kQuarantineQuality = 95;  // Of raw frames, which are kept as JPEG.

// How many samples after the alarm the explanation is refined, before it is sent.
constexpr std::uint32_t kExplainedAt[] = {25, 100};

// After a swap the old bundle goes on in the shadow; these are what it takes to stay.
constexpr double kAgreementMin = 0.6;
constexpr double kConfidenceShareMin = 0.8;
constexpr double kCanaryLossMax = 0.05;

protocol::PackageFile JsonFile(std::string_view path, const Json& json) {
  return {std::string(path), "application/json", base::ToBytes(json.Write())};
}

bool StillCollects(const adapt::Adapter& adapter) {
  return !adapter.saved().event_id.empty() && !adapter.saved().is_asked;
}

// The words of the adaptation package for what became of a label.
std::string OutcomeOf(const std::string& fate) {
  if (fate == "retracted" || fate == "unknown_sample" || fate == "unknown_label") return fate;
  return fate == "monitoring_only" ? "unused" : "applied";
}

// Samples between false alarms; nothing where a limit was set by hand, for then nobody knows.
std::optional<std::int64_t> TargetSamples(const LifecycleOptions& options) {
  if (options.alarm && drift::HasLimit(options.alarm->detector, options.alarm->options)) {
    return std::nullopt;
  }
  return static_cast<std::int64_t>(options.false_alarm_every);
}

// "3 channels, windows of 128 rows every 64 at 50 Hz: mean, rms, 0.5-1.5 Hz".
std::string InWords(const protocol::BundleInput& input) {
  const std::string channels = StrCat(input.channel_count, " channels, ");
  if (!input.window) return channels + "row by row";
  const protocol::BundleWindow& window = *input.window;
  std::string features;
  for (const std::string& statistic : window.statistics) features += ", " + statistic;
  for (const auto& [from, to] : window.bands) features += StrCat(", ", from, "-", to, " Hz");
  return StrCat(channels, "windows of ", window.size, " rows every ", window.step, " at ",
                window.sample_rate_hz,
                " Hz: ", features.substr(std::min<std::size_t>(2, features.size())));
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

Json ToJson(const EventSummary& event) {
  Json channels = Json::MakeArray();
  for (const std::int64_t channel : event.channels) channels.Append(channel);
  return Json::MakeObject(
      {{"event_id", event.event_id},
       {"index", event.index},
       {"frame", event.frame_number ? Json(std::int64_t{*event.frame_number}) : Json()},
       {"kind", event.kind},
       {"text", event.text},
       {"channels", std::move(channels)}});
}

void NameRunning(const model::ModelBundle& bundle, protocol::UpdateReport& report) {
  report.bundle = bundle.bundle;
  report.name = bundle.manifest.name;
  report.version = bundle.manifest.version;
  report.model_family = bundle.manifest.model_family;
  report.labels = bundle.manifest.labels;
}

Lifecycle::Lifecycle(const LifecycleOptions& options, Parts parts,
                     std::shared_ptr<const model::ModelBundle> bundle, state::TwoCopyRecord record,
                     state::SnapshotStore snapshots, adapt::Quarantine quarantine)
    : options_(options),
      parts_(std::move(parts)),
      bundle_(std::move(bundle)),
      record_(std::move(record)),
      snapshots_(std::move(snapshots)),
      quarantine_(std::move(quarantine)),
      event_log_(*parts_.fs, options_.folder) {
  adapt::Adapter::Options adapter;
  adapter.mode = EffectiveMode();
  adapter.has_pictures = bundle_->is_image;
  adapter.quarantine_samples = options_.quarantine_samples;
  adapter.search_samples = std::min(adapter.search_samples, options_.quarantine_samples);
  adapter.labels_asked = options_.labels_per_event;
  adapter.probation_samples = options_.probation_samples;
  adapter_ = std::make_unique<adapt::Adapter>(adapter, bundle_->bundle);
  SayIfNotAdaptable();
}

void Lifecycle::SayIfNotAdaptable() {
  if (bundle_->is_adaptable() || options_.mode == adapt::Mode::kMonitoringOnly) return;
  parts_.logger->Info(StrCat("bundle ", bundle_->manifest.name, " ", bundle_->manifest.version,
                             " answers by its ", classify::Name(bundle_->config.classifier),
                             " head: drift is watched, nothing is adapted"));
}

namespace {

// Moves what cannot be read out of the way, so that the device goes on; a person may look at it.
void SetAside(base::FileSystem& fs, base::Logger& logger, const std::string& path,
              const Error& error) {
  logger.Error(StrCat(path, " is set aside: ", error.message));
  static_cast<void>(base::RemoveTree(fs, path + ".damaged").ok());
  static_cast<void>(fs.Rename(path, path + ".damaged").ok());
}

// Opens, or sets aside and opens anew. `paths`: what it stands on.
template <typename Open>
auto OpenOrSetAside(base::FileSystem& fs, base::Logger& logger,
                    std::initializer_list<std::string> paths, Open open) -> decltype(open()) {
  auto opened = open();
  if (opened.ok() || opened.error().code == ErrorCode::kExhausted) return opened;
  for (const std::string& path : paths) SetAside(fs, logger, path, opened.error());
  return open();
}

}  // namespace

Result<std::unique_ptr<Lifecycle>> Lifecycle::Open(
    const LifecycleOptions& options, Parts parts,
    std::shared_ptr<const model::ModelBundle> bundle) {
  base::FileSystem& fs = *parts.fs;
  base::Logger& logger = *parts.logger;
  RETURN_IF_ERROR(fs.CreateDirectories(options.folder));
  const std::string record_path = base::JoinPath(options.folder, "lifecycle");
  const std::string snapshots_path = base::JoinPath(options.folder, "snapshots");
  const std::string quarantine_path = base::JoinPath(options.folder, "quarantine");
  ASSIGN_OR_RETURN(state::TwoCopyRecord record,
                   OpenOrSetAside(fs, logger, {record_path + ".a", record_path + ".b"},
                                  [&] { return state::TwoCopyRecord::Open(fs, record_path); }));
  ASSIGN_OR_RETURN(state::SnapshotStore snapshots,
                   OpenOrSetAside(fs, logger, {snapshots_path}, [&] {
                     return state::SnapshotStore::Open(fs, snapshots_path, {});
                   }));
  ASSIGN_OR_RETURN(adapt::Quarantine quarantine, OpenOrSetAside(fs, logger, {quarantine_path}, [&] {
                     return adapt::Quarantine::Open(fs, quarantine_path,
                                                    {.samples_max = options.quarantine_samples});
                   }));
  std::unique_ptr<Lifecycle> lifecycle(new Lifecycle(options, std::move(parts), std::move(bundle),
                                                     std::move(record), std::move(snapshots),
                                                     std::move(quarantine)));
  RETURN_IF_ERROR(lifecycle->Restore());
  return lifecycle;
}

// ---- What survives a restart ------------------------------------------------------------------

Status Lifecycle::ReadRecord() {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(base::AsText(*record_.value())));
  base::JsonReader reader(json, "lifecycle");
  first_index_ = static_cast<std::uint64_t>(reader.Int("reserved_index", {.min = 0}));
  revision_ = static_cast<std::uint64_t>(reader.Int("revision", {.min = 0}));
  labels_applied_ = static_cast<std::uint64_t>(reader.Int("labels_applied", {.min = 0}));
  adaptations_ = static_cast<std::uint64_t>(reader.Int("adaptations", {.min = 0}));
  rollbacks_ = static_cast<std::uint64_t>(reader.Int("rollbacks", {.min = 0}));
  escalations_ = static_cast<std::uint64_t>(reader.Int("escalations", {.min = 0}));
  bundle_swap_gap_ms_ = reader.Double("swap_gap_ms");
  feedback_done_ = reader.Strings("feedback_done");
  if (const auto event_id = reader.OptionalString("ask_again")) {
    adapt::Action ask;
    ask.kind = adapt::ActionKind::kAskForLabels;
    ask.event_id = *event_id;
    ask.labels = options_.labels_per_event;
    waiting_.push_back(std::move(ask));
  }
  if (reader.Has("event")) {
    ASSIGN_OR_RETURN(event_, protocol::ParseDriftEvent(reader.Object("event").json().Write()));
  }
  for (base::JsonReader item : reader.Array("events")) {
    EventSummary event;
    event.event_id = item.String("event_id");
    event.index = static_cast<std::uint64_t>(item.Int("index", {.min = 0}));
    if (const auto frame = item.OptionalInt("frame", {.min = 0, .max = UINT32_MAX})) {
      event.frame_number = static_cast<std::uint32_t>(*frame);
    }
    event.kind = item.String("kind");
    event.text = item.String("text");
    for (base::JsonReader channel : item.Array("channels")) {
      event.channels.push_back(channel.AsInt());
    }
    events_.push_back(std::move(event));
  }
  // An adaptation belongs to its bundle; which one runs is the slots' word.
  for (base::JsonReader item : reader.Array("adapters", 2)) {
    Kept kept{item.String("bundle"), item.String("file")};
    RETURN_IF_ERROR(reader.status());
    if (kept.bundle != bundle_->bundle) {
      previous_ = std::move(kept);
      continue;
    }
    auto bytes =
        base::ReadFile(*parts_.fs, base::JoinPath(options_.folder, kept.file), kAdapterBytesMax);
    const Status restored = bytes.ok() ? adapter_->Restore(*bytes) : Status(bytes.error());
    if (!restored.ok()) {
      parts_.logger->Error("adaptation dropped: " + restored.error().message);
      continue;
    }
    // Not written again unless it changes: a start should wait for the disk as seldom as it can.
    adapter_file_ = kept.file;
    adapter_bytes_ = std::move(*bytes);
  }
  return reader.status();
}

void Lifecycle::BeginAnew(const std::string& why) {
  parts_.logger->Error("the record cannot be read, the device begins anew: " + why);
  adapter_ = std::make_unique<adapt::Adapter>(adapter_->options(), bundle_->bundle);
  previous_ = {};
  event_.reset();
  events_.clear();
  feedback_done_.clear();
  waiting_.clear();
  // Which indices were used is not known; the milliseconds since 1970 surely were not.
  first_index_ = static_cast<std::uint64_t>(parts_.clock->Now().time_since_epoch().count());
  revision_ = labels_applied_ = adaptations_ = rollbacks_ = escalations_ = 0;
}

Status Lifecycle::Restore() {
  if (record_.value()) {
    const Status read = ReadRecord();
    if (!read.ok()) BeginAnew(read.error().message);
  }
  reserved_index_ = first_index_ + kIndexBlock;
  auto log = EventLog::Open(*parts_.fs, options_.folder);
  if (log.ok()) {
    event_log_ = std::move(*log);
  } else {
    parts_.logger->Error("the events of before are not shown: " + log.error().message);
  }

  auto serving = MakeServing(bundle_, adapter_->served(), revision_);
  // A bundle that cannot be served by itself (its runtime is missing) is no adaptation's fault.
  if (!serving.ok() && !adapter_->served().is_none()) {
    parts_.logger->Error("the saved adaptation cannot be served, the bundle alone runs: " +
                         serving.error().message);
    adapter_ = std::make_unique<adapt::Adapter>(adapter_->options(), bundle_->bundle);
    serving = MakeServing(bundle_, adapter_->served(), ++revision_);
  }
  if (!serving.ok()) return serving.error();
  ASSIGN_OR_RETURN(std::unique_ptr<drift::DriftMonitor> monitor,
                   MakeMonitor(*bundle_, (*serving)->signals()));
  RestoreMonitor(*monitor);
  // An alarm that was saved before anybody acted on it must come again.
  const bool is_at_rest = adapter_->state() == adapt::AdapterState::kStable ||
                          adapter_->state() == adapt::AdapterState::kRolledBack ||
                          adapter_->state() == adapt::AdapterState::kEscalated;
  if (monitor->phase() == drift::DriftMonitor::Phase::kOpen && is_at_rest) monitor->Resume();
  first_stage_ = std::make_unique<Stage>();
  first_stage_->serving = std::move(*serving);
  first_stage_->monitor = std::move(monitor);
  if (adapter_->state() == adapt::AdapterState::kProbation) {
    ASSIGN_OR_RETURN(champion_, MakeServing(bundle_, adapter_->champion(), 0));
    probation_revision_ = revision_;
  }
  Save();
  UpdateWants();
  return {};
}

// Which reference it is that drift.bin holds: of a bundle, as it is adapted.
std::uint64_t Lifecycle::MonitorBelongsTo() const {
  return drift::OptionsDigest().AddText(bundle_->bundle).Add(revision_).value();
}

void Lifecycle::RestoreMonitor(drift::DriftMonitor& monitor) {
  const auto saved =
      base::ReadFile(*parts_.fs, base::JoinPath(options_.folder, kDriftFile), kDriftBytesMax);
  if (saved.ok()) {
    const Status restored = monitor.RestoreState(*saved, MonitorBelongsTo());
    if (!restored.ok()) {
      parts_.logger->Warning("drift reference learned anew: " + restored.error().message);
    }
    return;
  }
  if (saved.error().code != ErrorCode::kNotFound) {
    parts_.logger->Warning("drift reference learned anew: " + saved.error().message);
  }
  // What an earlier version left. Said once: it is gone then.
  const std::string old = base::JoinPath(options_.folder, "drift.json");
  if (parts_.fs->Stat(old).ok()) {
    parts_.logger->Warning(
        "drift reference learned anew: drift.json is of a version that watched one signal only");
    static_cast<void>(parts_.fs->Remove(old).ok());
  }
}

// The adapter's state, in a file named by its digest; written only when it is another.
Result<std::string> Lifecycle::KeepAdapter(base::ByteView state) {
  if (!adapter_file_.empty() && std::ranges::equal(state, adapter_bytes_)) return adapter_file_;
  const std::string file = StrCat("adapter-", base::Sha256Hex(state).substr(0, 32), ".bin");
  RETURN_IF_ERROR(base::WriteFileDurably(*parts_.fs, base::JoinPath(options_.folder, file), state));
  adapter_file_ = file;
  adapter_bytes_.assign(state.begin(), state.end());
  return file;
}

void Lifecycle::Save() {
  const auto kept = KeepAdapter(adapter_->Save());
  if (!kept.ok()) {
    parts_.logger->Error("adaptation not saved: " + kept.error().message);
    return;  // The record still names the one before, whole.
  }
  Json events = Json::MakeArray();
  for (const EventSummary& event : events_) events.Append(ToJson(event));
  Json feedback = Json::MakeArray();
  for (const std::string& id : feedback_done_) feedback.Append(id);
  Json adapters = Json::MakeArray();
  adapters.Append(Json::MakeObject({{"bundle", bundle_->bundle}, {"file", *kept}}));
  const bool has_previous = !previous_.bundle.empty() && previous_.bundle != bundle_->bundle;
  if (has_previous) {
    adapters.Append(Json::MakeObject({{"bundle", previous_.bundle}, {"file", previous_.file}}));
  }
  Json ask_again;
  for (const adapt::Action& action : waiting_) {
    if (action.kind == adapt::ActionKind::kAskForLabels) ask_again = action.event_id;
  }
  const Json json = Json::MakeObject({{"reserved_index", reserved_index_},
                                      {"revision", revision_},
                                      {"labels_applied", labels_applied_},
                                      {"adaptations", adaptations_},
                                      {"rollbacks", rollbacks_},
                                      {"escalations", escalations_},
                                      {"swap_gap_ms", bundle_swap_gap_ms_},
                                      {"feedback_done", std::move(feedback)},
                                      {"ask_again", std::move(ask_again)},
                                      {"event", event_ ? protocol::ToJson(*event_) : Json()},
                                      {"events", std::move(events)},
                                      {"adapters", std::move(adapters)}});
  const std::string text = json.Write();
  const Status written = record_.Write(base::AsBytes(text));
  if (!written.ok()) {
    parts_.logger->Error("lifecycle not saved: " + written.error().message);
    return;
  }
  const auto files = parts_.fs->List(options_.folder);
  if (!files.ok()) return;
  for (const base::FileInfo& file : *files) {
    if (!file.name.starts_with("adapter-") || file.name == *kept) continue;
    if (has_previous && file.name == previous_.file) continue;
    static_cast<void>(parts_.fs->Remove(base::JoinPath(options_.folder, file.name)).ok());
  }
}

void Lifecycle::SaveAll() {
  // A stream may end before enough is collected to ask; then this is what is known.
  if (path_ != nullptr && StillCollects(*adapter_) && quarantine_.current_count() > 0) Explain();
  const Status synced = quarantine_.Sync();
  if (!synced.ok()) parts_.logger->Error("quarantine not synced: " + synced.error().message);
  if (path_ != nullptr) {
    const Status written =
        base::WriteFileDurably(*parts_.fs, base::JoinPath(options_.folder, kDriftFile),
                               path_->SaveDriftState(MonitorBelongsTo()));
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
  if (path_ != nullptr && StillCollects(*adapter_) && quarantine_.is_full()) {
    Do(adapter_->OnQuarantined(static_cast<std::uint32_t>(quarantine_.current_count()), last_index_,
                               true));
  }
  TryAgain();
  if (parts_.clock->Uptime() - last_full_save_ >= kFullSaveEvery) SaveAll();
}

// ---- What is made -----------------------------------------------------------------------------

std::unique_ptr<Stage> Lifecycle::TakeFirstStage() { return std::move(first_stage_); }

Result<std::unique_ptr<drift::DriftMonitor>> Lifecycle::MakeMonitor(
    const model::ModelBundle& bundle, drift::SignalMask signals) const {
  drift::DriftMonitor::Options options;
  options.signals = signals;
  options.has_cycle = options_.cycle.count() > 0;
  options.classes = static_cast<std::uint32_t>(bundle.manifest.labels.size());
  if (bundle.is_image) {
    options.channel_names.assign(feature::PictureFigureNames().begin(),
                                 feature::PictureFigureNames().end());
  } else if (bundle.manifest.input.window && bundle.config.channels.size() == bundle.raw_count()) {
    options.channel_names = bundle.config.channels;  // "x.mean" says more than a number.
  }
  options.channels =
      static_cast<std::uint32_t>(bundle.is_image ? feature::kPictureFigures : bundle.raw_count());
  options.samples_noun = bundle.is_image ? "frames" : "rows";
  options.false_alarm_every = options_.false_alarm_every;
  options.commission = options_.commission;
  options.hold_back = options_.hold_back;
  options.alarm = options_.alarm;
  options.seed = options_.seed;
  options.held_out = bundle.reference.held_out;
  options.labels = bundle.manifest.labels;
  ASSIGN_OR_RETURN(drift::DriftMonitor monitor, drift::DriftMonitor::Create(options));
  return std::make_unique<drift::DriftMonitor>(std::move(monitor));
}

Result<std::unique_ptr<Serving>> Lifecycle::MakeServing(
    const std::shared_ptr<const model::ModelBundle>& bundle, const adapt::Adaptation& adaptation,
    std::uint64_t revision) const {
  std::unique_ptr<feature::FeatureModel> engine;
  if (bundle->is_image) {
    ASSIGN_OR_RETURN(engine, parts_.open_engine(bundle->feature_model, bundle->engine_options()));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Serving> serving,
                   Serving::Create(bundle, std::move(engine), adaptation,
                                   {.barcode = options_.barcode, .revision = revision}));
  // Warm: the first inference allocates.
  Inference warm;
  std::vector<std::uint8_t> grey;
  if (bundle->is_image) {
    grey.assign(static_cast<std::size_t>(bundle->image_rule.width) *
                    static_cast<std::size_t>(bundle->image_rule.height) * 3,
                128);
    warm.picture = grey;
  } else {
    warm.raw = bundle->processor.mean;
  }
  RETURN_IF_ERROR(serving->InferDecoded(warm));
  return serving;
}

Status Lifecycle::Workbench() {
  if (bench_ != nullptr) return {};
  ASSIGN_OR_RETURN(bench_, MakeServing(bundle_, adapt::Adaptation{}, 0));
  return {};
}

std::string Lifecycle::LabelName(std::uint16_t label) const {
  const auto& labels = bundle_->manifest.labels;
  return label < labels.size() ? labels[label] : "unknown";
}

void Lifecycle::UpdateWants() {
  const bool collects = StillCollects(*adapter_) && !quarantine_.is_full();
  wants_frames_.store(swap_.has_value() || collects ||
                      adapter_->state() == adapt::AdapterState::kProbation);
}

// ---- What happens -----------------------------------------------------------------------------

void Lifecycle::OnSeen(const Seen& seen) {
  last_index_ = seen.index;
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
  if (has_frame && StillCollects(*adapter_) && !quarantine_.is_full()) {
    const Status added = AddToQuarantine(seen);
    if (!added.ok()) {
      parts_.logger->Warning("not quarantined: " + added.error().message);
    } else {
      const auto count = static_cast<std::uint32_t>(quarantine_.current_count());
      if (count == kExplainedAt[0] || count == kExplainedAt[1]) {
        Explain();
        Save();
      }
      Do(adapter_->OnQuarantined(count, seen.index, quarantine_.is_full()));
    }
  }
  if (has_frame && adapter_->state() == adapt::AdapterState::kProbation && champion_ != nullptr &&
      seen.revision == probation_revision_) {
    Inference shadow;
    if (champion_->Infer(seen.frame, shadow).ok()) {
      path_->Compare(shadow.prediction.nearest == seen.prediction.nearest);
      Do(adapter_->OnProbation({.champion_distance = shadow.prediction.anchor_distance,
                                .champion_confidence = shadow.prediction.confidence,
                                .challenger_distance = seen.prediction.anchor_distance,
                                .challenger_confidence = seen.prediction.confidence}));
    }
  }
  Do(adapter_->OnSample(seen.index));
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
  const adapt::Actions actions = adapter_->OnDrift(event_id, seen.index);
  if (adapter_->saved().event_id == event_id) {
    protocol::DriftEvent event;
    event.event_id = event_id;
    event.sample_index = seen.index;
    event.kind = "unknown";
    event.target_samples = TargetSamples(options_);
    event.suppressed_since_last = adapter_->saved().suppressed;
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
  Do(actions);
  Save();
}

// What is known of the open drift, into the event and its summary; without one they stay as they
// are, for a restart must not forget what was known.
void Lifecycle::Explain() {
  const auto explanation = path_->Explanation();
  if (!explanation || !event_) return;
  protocol::DriftEvent& event = *event_;
  event.kind = drift::Name(explanation->kind);
  event.sigma = explanation->sigma;
  if (const auto drop = path_->AccuracyDrop(explanation->change_index)) {
    event.accuracy_drop = drop->mean;
    event.accuracy_drop_interval = {drop->low, drop->high};
  }
  event.log10_e = explanation->log10_e;
  event.change_point = explanation->change_index;
  event.change_point_interval = {explanation->change_first, explanation->change_last};
  event.text = explanation->text;
  event.signals.clear();
  for (const auto& share : explanation->signals) {
    event.signals.push_back({drift::Name(share.signal), share.share, share.shift_sigma});
  }
  event.classes.clear();
  for (const auto& share : explanation->classes) {
    event.classes.push_back({LabelName(share.label), share.share});
  }
  event.channels.clear();
  const auto& names = bundle_->config.channels;
  for (const auto& moved : explanation->channels) {
    if (event.channels.size() == EventLog::kChannelsKept) break;
    const std::size_t at = moved.index;
    event.channels.push_back({static_cast<std::int64_t>(moved.index),
                              bundle_->is_image   ? feature::PictureFigureNames()[at]
                              : at < names.size() ? names[at]
                                                  : StrCat("ch", at),
                              moved.shift_sigma});
  }
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
  const adapt::Adapter::State& state = adapter_->saved();
  if (state.is_asked && state.event_id == event_->event_id) return;
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

Status Lifecycle::AddToQuarantine(const Seen& seen) {
  RETURN_IF_ERROR(Workbench());
  adapt::QuarantinedSample sample;
  sample.sample_id = StrCat(quarantine_.event_id(), "-", seen.index);
  sample.index = seen.index;
  sample.prediction = seen.prediction.label;
  sample.confidence = seen.prediction.confidence;
  sample.distance = seen.prediction.anchor_distance;
  sample.neighbours.assign(seen.prediction.neighbours.begin(),
                           seen.prediction.neighbours.begin() + seen.prediction.neighbour_count);
  sample.reason = "drift";
  sample.has_picture = bundle_->is_image;
  sample.feature.resize(bundle_->feature_count());
  std::vector<std::uint8_t> picture;
  if (bundle_->is_image) {
    RETURN_IF_ERROR(bench_->Decode(seen.frame.view(), picture));
  } else {
    CHECK(seen.frame.row.size() == bundle_->raw_count());
    sample.raw = seen.frame.row;
  }
  RETURN_IF_ERROR(bench_->Embed(picture, sample.raw, sample.feature));
  // A row has no picture that masks could cover.
  const bool is_kept_as_it_is =
      !bundle_->is_image ||
      (seen.frame.format == source::PictureFormat::kCompressed && options_.masks.empty());
  if (is_kept_as_it_is) return quarantine_.Add(sample, seen.frame.picture);
  ASSIGN_OR_RETURN(const base::Bytes file,
                   source::MaskedPicture(seen.frame.view(), options_.masks, kQuarantineQuality));
  return quarantine_.Add(sample, file);
}

Status Lifecycle::OnFeedback(const protocol::Feedback& feedback) {
  if (std::find(feedback_done_.begin(), feedback_done_.end(), feedback.feedback_id) !=
      feedback_done_.end()) {
    adapt::Action again;
    again.feedback_id = feedback.feedback_id;
    again.text = "this feedback was applied before";
    for (const protocol::Feedback::Label& label : feedback.labels) {
      const bool is_known = quarantine_.labels().contains(label.sample_id);
      again.fates.push_back(
          {label.sample_id, feedback.feedback_id, is_known ? "judged" : "unknown_sample"});
    }
    return Report(again);
  }
  if (swap_) return Error{ErrorCode::kUnavailable, "feedback: a new bundle is being watched"};
  adapt::Feedback told;
  told.feedback_id = feedback.feedback_id;
  told.retract = feedback.retract;
  std::vector<protocol::AdaptationReport::LabelOutcome> unknown;
  const auto& names = bundle_->manifest.labels;
  for (const protocol::Feedback::Label& label : feedback.labels) {
    const auto found = std::find(names.begin(), names.end(), label.label);
    if (found == names.end()) {
      unknown.push_back({label.sample_id, "unknown_label"});
    } else {
      told.labels.push_back({label.sample_id, static_cast<std::uint16_t>(found - names.begin()),
                             feedback.feedback_id});
    }
  }
  for (const protocol::Feedback::Event& event : feedback.events) {
    if (event.event_id != adapter_->saved().event_id && !adapter_->saved().event_id.empty()) {
      continue;
    }
    told.verdict = *adapt::ParseEventVerdict(protocol::Name(event.verdict));
  }

  const std::map<std::string, adapt::Label> before = quarantine_.labels();
  std::vector<std::string> known;
  for (const adapt::QuarantinedSample& sample : quarantine_.samples()) {
    known.push_back(sample.sample_id);
  }
  for (const adapt::Label& label : told.labels) {
    if (quarantine_.Find(label.sample_id) == nullptr) continue;
    RETURN_IF_ERROR(quarantine_.SetLabel(label));
    ++labels_applied_;
  }
  for (const std::string& sample_id : told.retract) {
    if (before.contains(sample_id)) RETURN_IF_ERROR(quarantine_.RemoveLabel(sample_id));
  }
  RETURN_IF_ERROR(quarantine_.Sync());
  parts_.logger->Info(StrCat("feedback ", feedback.feedback_id, ": ", told.labels.size(),
                             " labels, ", told.retract.size(), " retracted"));

  // Before anything is done: what acknowledges it may leave the device within Do.
  feedback_done_.push_back(feedback.feedback_id);
  if (feedback_done_.size() > kFeedbackKept) feedback_done_.erase(feedback_done_.begin());
  candidates_.clear();
  Do(adapter_->OnFeedback(told, before, known));
  if (!unknown.empty()) {
    adapt::Action report;
    report.kind = adapt::ActionKind::kReport;
    report.feedback_id = feedback.feedback_id;
    report.text = StrCat(unknown.size(), " labels name classes this bundle does not know");
    for (const auto& outcome : unknown) {
      report.fates.push_back({outcome.sample_id, feedback.feedback_id, outcome.outcome});
    }
    Do({report});
  }
  Save();
  UpdateWants();
  return {};
}

// ---- What is done -----------------------------------------------------------------------------

void Lifecycle::Do(const adapt::Actions& actions) {
  if (actions.empty()) return;
  for (const adapt::Action& action : actions) {
    const bool changes_stage =
        action.kind == adapt::ActionKind::kServe || action.kind == adapt::ActionKind::kRollBack;
    if (swap_ && changes_stage) {
      waiting_.push_back(action);  // One change of what serves at a time.
      continue;
    }
    if (action.kind == adapt::ActionKind::kReport) Save();
    const Status done = DoOne(action);
    if (done.ok()) continue;
    parts_.logger->Error(StrCat(adapt::Name(action.kind), ": ", done.error().message));
    const ErrorCode code = done.error().code;
    if (code == ErrorCode::kExhausted || code == ErrorCode::kUnavailable)
      waiting_.push_back(action);
  }
  Save();
  UpdateWants();
}

void Lifecycle::TryAgain() {
  if (waiting_.empty() || path_ == nullptr) return;
  Do(std::exchange(waiting_, {}));
}

Status Lifecycle::DoOne(const adapt::Action& action) {
  switch (action.kind) {
    case adapt::ActionKind::kBeginQuarantine:
      return quarantine_.Begin(action.event_id);
    case adapt::ActionKind::kAskForLabels:
      return AskForLabels(action);
    case adapt::ActionKind::kSearchInput:
      return SearchInput(action);
    case adapt::ActionKind::kJudge:
      return Judge(action);
    case adapt::ActionKind::kServe:
    case adapt::ActionKind::kRollBack:
      return Serve(action);
    case adapt::ActionKind::kCommit:
      champion_.reset();
      return SendModel();
    case adapt::ActionKind::kRebaseline:
      path_->Rebaseline();
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
    event_->sample_index = adapter_->saved().drift_index;
    event_->kind = "unknown";
    alarm_time_ = parts_.clock->Now();
  }
  protocol::DriftEvent& event = *event_;
  event.target_samples = TargetSamples(options_);
  event.suppressed_since_last = adapter_->saved().suppressed;
  Explain();

  const std::vector<adapt::Quarantine::Asked> asked =
      quarantine_.AskFor(action.labels, options_.seed);
  protocol::SampleSet set;
  set.event_id = event.event_id;
  set.labels = bundle_->manifest.labels;
  if (!bundle_->is_image) {
    set.reference_row_mean.emplace(bundle_->reference.channel_mean.begin(),
                                   bundle_->reference.channel_mean.end());
    set.reference_row_sd.emplace(bundle_->reference.channel_sd.begin(),
                                 bundle_->reference.channel_sd.end());
  }
  std::vector<protocol::PackageFile> files(2);
  std::vector<float> features;
  std::vector<std::string> row_ids;
  std::vector<std::vector<float>> rows;
  event.samples.clear();
  for (const adapt::Quarantine::Asked& ask : asked) {
    const adapt::QuarantinedSample* sample = quarantine_.Find(ask.sample_id);
    if (sample == nullptr) continue;
    protocol::SampleRecord record;
    record.sample_id = sample->sample_id;
    record.index = sample->index;
    record.prediction = LabelName(sample->prediction);
    record.confidence = sample->confidence;
    for (const classify::Neighbour& neighbour : sample->neighbours) {
      record.neighbours.push_back(
          {neighbour.anchor, LabelName(neighbour.label), neighbour.distance});
    }
    record.reason = sample->reason;
    record.cluster_mass = ask.cluster_mass;
    // After a swap to a bundle with other features, those of before do not fit beside the new ones.
    if (sample->feature.size() == bundle_->feature_count()) {
      record.feature_row = features.size() / bundle_->feature_count();
      features.insert(features.end(), sample->feature.begin(), sample->feature.end());
    }
    if (!bundle_->is_image) {
      record.media = StrCat(protocol::kRowsPath, "#", rows.size());
      row_ids.push_back(sample->sample_id);
      rows.push_back(sample->raw);
    } else if (options_.send_images) {
      auto picture = quarantine_.Picture(sample->sample_id);
      if (picture.ok()) {
        record.media = StrCat("images/", sample->sample_id, ".jpg");
        files.push_back({record.media, "image/jpeg", std::move(*picture)});
      }
    }
    event.samples.push_back(record.sample_id);
    set.samples.push_back(std::move(record));
  }
  KeepEvent();
  protocol::Safetensors tensors;
  tensors.Add("features", {features.size() / bundle_->feature_count(), bundle_->feature_count()},
              features);
  files[0] = JsonFile(protocol::kDriftEventPath, protocol::ToJson(event));
  files[1] = JsonFile(protocol::kSamplesPath, protocol::ToJson(set));
  files.push_back(
      {std::string(protocol::kFeaturesPath), "application/octet-stream", tensors.Write()});
  if (!rows.empty()) {
    files.push_back({std::string(protocol::kRowsPath), "text/csv",
                     base::ToBytes(protocol::WriteRowsCsv(row_ids, rows))});
  }
  return parts_.outbox->Send(protocol::kTypeDriftEvent, bundle_->bundle, std::move(files));
}

Status Lifecycle::SearchInput(const adapt::Action&) {
  RETURN_IF_ERROR(Workbench());
  const adapt::PictureSize size{.width = bundle_->image_rule.width,
                                .height = bundle_->image_rule.height};
  adapt::PictureStatistics statistics(size);
  std::vector<std::vector<std::uint8_t>> pictures;
  std::vector<std::optional<std::uint16_t>> labels;
  const auto& samples = quarantine_.samples();
  for (std::size_t i = quarantine_.current_begin(); i < samples.size(); ++i) {
    const auto file = quarantine_.Picture(samples[i].sample_id);
    if (!file.ok()) continue;
    std::vector<std::uint8_t> picture;
    if (!bench_->Decode({.bytes = *file}, picture).ok()) continue;
    statistics.Add(picture);
    pictures.push_back(std::move(picture));
    const auto label = quarantine_.labels().find(samples[i].sample_id);
    labels.push_back(label == quarantine_.labels().end() ? std::nullopt
                                                         : std::optional(label->second.label));
  }
  ASSIGN_OR_RETURN(
      std::vector<adapt::InputHypothesis> hypotheses,
      adapt::MakeHypotheses(
          {.size = size, .mean = bundle_->reference.mean_image, .sd = bundle_->reference.sd_image},
          statistics));
  std::vector<float> raw;
  ASSIGN_OR_RETURN(adapt::InputSearch search,
                   adapt::InputSearch::Create(
                       std::move(hypotheses), size, bench_->classifier(),
                       [&](std::span<const std::uint8_t> picture, std::span<float> feature) {
                         return bench_->Embed(picture, raw, feature);
                       }));
  for (std::size_t i = 0; i < pictures.size(); ++i) {
    RETURN_IF_ERROR(search.Add(pictures[i], labels[i]));
  }
  const adapt::InputSearchResult result = search.Finish({});
  for (std::size_t i = 0; i < result.scores.size(); ++i) {
    const auto& score = result.scores[i];
    protocol::AdaptationReport::Candidate candidate;
    candidate.stage = "hypothesis";
    candidate.name = score.name;
    if (result.labelled > 0) candidate.score = static_cast<double>(score.correct) / result.labelled;
    candidate.distance_ratio = score.distance / result.scores[0].distance;
    const bool is_best = i == result.best;
    candidate.verdict = is_best && (result.is_adopted || i == 0) ? "served" : "rejected";
    candidate.reason = !is_best            ? "another is nearer to the anchors"
                       : result.is_vetoed  ? "vetoed by labels"
                       : result.is_adopted ? "nearest to the anchors"
                                           : "not near enough to change the input";
    candidates_.push_back(std::move(candidate));
  }
  parts_.logger->Info(StrCat("input search over ", pictures.size(),
                             " pictures: ", result.scores[result.best].name, " at ", result.ratio,
                             " of identity's distance", result.is_adopted ? ", adopted" : ""));
  Do(adapter_->OnInputSearched(result));
  return {};
}

Result<Lifecycle::Embedded> Lifecycle::EmbedQuarantine(Serving& bench,
                                                       const adapt::InputHypothesis& hypothesis) {
  const model::ModelBundle& bundle = bench.bundle();
  Embedded out;
  std::optional<adapt::PictureTransform> transform;
  if (bundle.is_image && !hypothesis.is_identity()) {
    ASSIGN_OR_RETURN(
        adapt::PictureTransform made,
        adapt::PictureTransform::Create(
            hypothesis, {.width = bundle.image_rule.width, .height = bundle.image_rule.height}));
    transform = std::move(made);
  }
  std::vector<float> raw, feature(bundle.feature_count());
  std::vector<std::uint8_t> picture;
  for (const adapt::QuarantinedSample& sample : quarantine_.samples()) {
    if (bundle.is_image) {
      const auto file = quarantine_.Picture(sample.sample_id);
      if (!file.ok() || !bench.Decode({.bytes = *file}, picture).ok()) continue;
      if (transform) transform->Apply(picture);
    } else {
      if (sample.raw.size() != bundle.raw_count()) continue;
      raw = sample.raw;
    }
    RETURN_IF_ERROR(bench.Embed(picture, raw, feature));
    const auto label = quarantine_.labels().find(sample.sample_id);
    if (label != quarantine_.labels().end()) {
      out.labelled.push_back({static_cast<std::uint32_t>(out.ids.size()), label->second.label});
      out.labels.push_back(label->second);
    }
    out.ids.push_back(sample.sample_id);
    out.features.insert(out.features.end(), feature.begin(), feature.end());
  }
  return out;
}

Status Lifecycle::Judge(const adapt::Action& action) {
  RETURN_IF_ERROR(Workbench());
  const adapt::InputHypothesis& hypothesis = action.adaptation.hypothesis;
  ASSIGN_OR_RETURN(const Embedded quarantine, EmbedQuarantine(*bench_, hypothesis));
  adapt::JudgeRule rule;
  rule.seed = options_.seed;
  ASSIGN_OR_RETURN(
      const adapt::Judgement judgement,
      adapt::Judge(bench_->classifier(), quarantine.features, quarantine.labelled, rule));
  for (std::size_t i = 0; i < judgement.scores.size(); ++i) {
    const adapt::ChallengerScore& score = judgement.scores[i];
    protocol::AdaptationReport::Candidate candidate;
    candidate.stage = "challenger";
    candidate.name = score.kind.name();
    if (judgement.labels > 0) {
      candidate.score = static_cast<double>(score.correct) / judgement.labels;
    }
    candidate.verdict = i == judgement.winner ? "served" : "rejected";
    candidate.reason = StrCat(score.correct, " of ", judgement.labels, " labels right",
                              score.is_eligible ? "" : ", not eligible");
    candidates_.push_back(std::move(candidate));
  }
  parts_.logger->Info(StrCat("judged ", judgement.scores.size(), " challengers by ",
                             judgement.labels,
                             " labels: ", judgement.scores[judgement.winner].kind.name()));
  const adapt::Adaptation composed = adapt::Compose(bundle_->bundle, action.event_id, hypothesis,
                                                    judgement, quarantine.ids, quarantine.labels);
  Do(adapter_->OnJudged(judgement, composed));
  return {};
}

Status Lifecycle::Serve(const adapt::Action& action) {
  const bool is_rollback = action.kind == adapt::ActionKind::kRollBack;
  ASSIGN_OR_RETURN(std::unique_ptr<Serving> next,
                   MakeServing(bundle_, action.adaptation, revision_ + 1));
  canary_before_.reset();
  canary_after_.reset();
  if (!is_rollback) {
    ASSIGN_OR_RETURN(champion_, MakeServing(bundle_, adapter_->champion(), 0));
    ASSIGN_OR_RETURN(snapshot_, Keep(adapter_->champion(), "before " + action.adaptation.name()));
    canary_before_ = champion_->CanaryAccuracy();
    canary_after_ = next->CanaryAccuracy();
  } else {
    champion_.reset();
  }
  auto stage = std::make_unique<Stage>();
  stage->serving = std::move(next);
  ++revision_;
  ++(is_rollback ? rollbacks_ : adaptations_);
  probation_revision_ = revision_;
  path_->Collect();
  path_->Offer(std::move(stage));
  parts_.logger->Info(StrCat(is_rollback ? "rolled back to " : "serving ", action.adaptation.name(),
                             " (revision ", revision_, ")"));
  if (!is_rollback) Do(adapter_->OnCanary(*canary_before_, *canary_after_));
  return {};
}

Status Lifecycle::Report(const adapt::Action& action) {
  protocol::AdaptationReport report;
  report.adaptation_id = "a-" + parts_.make_id();
  report.at = parts_.clock->Now();
  report.sample_index = last_index_;
  report.state = adapt::Name(adapter_->state());
  if (adapter_->state() == adapt::AdapterState::kEscalated) ++escalations_;
  if (!action.event_id.empty()) report.event_id = action.event_id;
  if (!action.feedback_id.empty()) report.feedback_id = action.feedback_id;
  report.hypothesis = adapter_->served().hypothesis.name();
  report.challenger = adapter_->served().challenger.name();
  report.candidates = std::move(candidates_);
  candidates_.clear();
  for (const adapt::LabelFate& fate : action.fates) {
    report.labels.push_back({fate.sample_id, OutcomeOf(fate.fate)});
  }
  report.canary_before = canary_before_;
  report.canary_after = canary_after_;
  if (!snapshot_.empty()) report.snapshot = snapshot_;
  report.text = action.text;
  parts_.logger->Info("adaptation: " + action.text);
  return parts_.outbox->Send(protocol::kTypeAdaptation, bundle_->bundle,
                             {JsonFile(protocol::kAdaptationPath, protocol::ToJson(report))});
}

Status Lifecycle::SendModel() {
  const adapt::Adaptation& served = adapter_->served();
  if (served.is_none()) return {};
  Bytes bytes = adapt::Serialise(served);
  const Json json = Json::MakeObject({{"format", "tinylcm-model/1"},
                                      {"base_bundle", bundle_->bundle},
                                      {"name", bundle_->manifest.name},
                                      {"version", bundle_->manifest.version},
                                      {"hypothesis", served.hypothesis.name()},
                                      {"challenger", served.challenger.name()},
                                      {"labels", static_cast<std::int64_t>(served.labels.size())},
                                      {"vectors", static_cast<std::int64_t>(served.memory.size())},
                                      {"adaptation_sha256", base::Sha256Hex(bytes)}});
  return parts_.outbox->Send(protocol::kTypeModel, bundle_->bundle,
                             {JsonFile("model.json", json),
                              {"adaptation.bin", "application/octet-stream", std::move(bytes)}});
}

// ---- Another bundle ---------------------------------------------------------------------------

Status Lifecycle::SwapBundle(std::shared_ptr<const model::ModelBundle> bundle,
                             const std::string& deployment_id, BundleDone done) {
  if (swap_) return Error{ErrorCode::kUnavailable, "swap: another one is under way"};
  if (bundle->is_image != bundle_->is_image || bundle->manifest.labels.empty()) {
    return Error{ErrorCode::kUnsupported, "swap: the new bundle is for another kind of input"};
  }
  // Rows reach the shadow and the quarantine as the answering bundle's window made them.
  const protocol::BundleInput& takes = bundle->manifest.input;
  const protocol::BundleInput& took = bundle_->manifest.input;
  if (!bundle->is_image &&
      (takes.window != took.window || takes.channel_count != took.channel_count ||
       bundle->raw_count() != bundle_->raw_count())) {
    return Error{ErrorCode::kUnsupported, StrCat("swap: the new bundle takes ", InWords(takes),
                                                 "; the running one takes ", InWords(took))};
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Serving> bench, MakeServing(bundle, adapt::Adaptation{}, 0));
  {
    std::unique_ptr<feature::FeatureModel> engine;
    if (bundle->is_image) {
      ASSIGN_OR_RETURN(engine, parts_.open_engine(bundle->feature_model, bundle->engine_options()));
    }
    RETURN_IF_ERROR(model::CheckGolden(*bundle, engine.get()));
  }

  // What was adapted goes over as far as it still holds under the new model.
  const adapt::Adaptation served = adapter_->served();
  adapt::Carried carried;
  carried.adaptation.bundle = bundle->bundle;
  if (!served.is_none() && !bundle->is_adaptable()) {
    carried.dropped.push_back("the new bundle answers by a head, which is not adapted");
  } else if (!served.is_none()) {
    ASSIGN_OR_RETURN(const Embedded quarantine, EmbedQuarantine(*bench, adapt::InputHypothesis{}));
    adapt::CarryRequest request;
    request.bundle = bundle->bundle;
    request.adaptation = &served;
    request.knn = &bench->classifier();
    request.rows = quarantine.ids;
    request.labels = quarantine.labels;
    request.judge_rule.seed = options_.seed;
    std::optional<adapt::InputSearch> search;
    std::vector<float> raw;
    if (bundle->is_image) {
      const adapt::PictureSize size{.width = bundle->image_rule.width,
                                    .height = bundle->image_rule.height};
      std::vector<adapt::InputHypothesis> hypotheses{adapt::InputHypothesis{}};
      if (!served.hypothesis.is_identity()) hypotheses.push_back(served.hypothesis);
      ASSIGN_OR_RETURN(adapt::InputSearch made,
                       adapt::InputSearch::Create(
                           std::move(hypotheses), size, bench->classifier(),
                           [&](std::span<const std::uint8_t> picture, std::span<float> feature) {
                             return bench->Embed(picture, raw, feature);
                           }));
      search.emplace(std::move(made));
      for (const std::string& id : quarantine.ids) {
        ASSIGN_OR_RETURN(const Bytes file, quarantine_.Picture(id));
        std::vector<std::uint8_t> picture;
        RETURN_IF_ERROR(bench->Decode({.bytes = file}, picture));
        const auto label = quarantine_.labels().find(id);
        RETURN_IF_ERROR(search->Add(picture, label == quarantine_.labels().end()
                                                 ? std::nullopt
                                                 : std::optional(label->second.label)));
      }
      request.search = &*search;
    } else {
      request.features = quarantine.features;
    }
    if (!quarantine.ids.empty()) {
      ASSIGN_OR_RETURN(carried, adapt::Carry(request));
    } else {
      carried.dropped.push_back("no sample is left to judge the adaptation by");
    }
  }

  ASSIGN_OR_RETURN(std::unique_ptr<Serving> next,
                   MakeServing(bundle, carried.adaptation, revision_ + 1));
  auto stage = std::make_unique<Stage>();
  ASSIGN_OR_RETURN(stage->monitor, MakeMonitor(*bundle, next->signals()));
  Swap swap;
  ASSIGN_OR_RETURN(swap.old_serving, MakeServing(bundle_, served, 0));
  swap.old_canary = swap.old_serving->CanaryAccuracy();
  swap.new_canary = next->CanaryAccuracy();
  ASSIGN_OR_RETURN(snapshot_, Keep(served, "before bundle " + bundle->manifest.version));
  swap.old_bundle = bundle_;
  ASSIGN_OR_RETURN(std::string kept, KeepAdapter(adapter_->Save()));
  previous_ = {bundle_->bundle, std::move(kept)};
  swap.deployment_id = deployment_id;
  swap.done = std::move(done);
  swap.first_revision = revision_ + 1;
  protocol::UpdateReport& report = swap.report;
  report.deployment_id = deployment_id;
  report.previous_bundle = bundle_->bundle;
  report.golden_ok = true;
  report.canary_accuracy = swap.new_canary;
  if (carried.hypothesis_kept) report.hypothesis_kept = carried.adaptation.hypothesis.name();
  if (carried.challenger_kept) report.challenger_kept = carried.adaptation.challenger.name();
  report.labels_kept = carried.adaptation.labels.size();
  report.labels_dropped =
      served.labels.size() - std::min(served.labels.size(), carried.adaptation.labels.size());
  for (const std::string& line : carried.dropped) {
    report.detail += (report.detail.empty() ? "dropped: " : "; ") + line;
  }

  stage->serving = std::move(next);
  ++revision_;
  bundle_ = std::move(bundle);
  bench_ = std::move(bench);
  champion_.reset();
  adapter_->OnBundle(carried);
  adapter_->SetMode(EffectiveMode());
  SayIfNotAdaptable();
  swap_ = std::move(swap);
  UpdateWants();
  path_->Collect();
  path_->Offer(std::move(stage));
  parts_.logger->Info(StrCat("bundle ", bundle_->manifest.name, " ", bundle_->manifest.version,
                             " takes over (revision ", revision_, ")"));
  return {};
}

void Lifecycle::WatchHealth(const Seen& seen) {
  Swap& swap = *swap_;
  if (swap.frames == 0) bundle_swap_gap_ms_ = path_->swap_gap_ms();
  Inference shadow;
  if (!swap.old_serving->Infer(seen.frame, shadow).ok()) return;
  ++swap.frames;
  const bool agrees = shadow.prediction.nearest == seen.prediction.nearest;
  if (agrees) ++swap.agreed;
  path_->Compare(agrees);
  swap.confidence_new += seen.prediction.confidence;
  swap.confidence_old += shadow.prediction.confidence;
  if (swap.frames < options_.health_frames) return;

  const double agreement = static_cast<double>(swap.agreed) / swap.frames;
  if (agreement < kAgreementMin) {
    FinishSwap(false,
               StrCat("agrees with the one before on ", base::FormatShort(100 * agreement),
                      " % of ", swap.frames, " frames; ", 100 * kAgreementMin, " % is asked"));
  } else if (swap.confidence_new < kConfidenceShareMin * swap.confidence_old) {
    FinishSwap(false, StrCat("mean confidence fell from ",
                             base::FormatShort(swap.confidence_old / swap.frames), " to ",
                             base::FormatShort(swap.confidence_new / swap.frames)));
  } else if (swap.new_canary < swap.old_canary - kCanaryLossMax) {
    FinishSwap(false,
               StrCat("canary accuracy ", swap.new_canary, ", ", swap.old_canary, " before"));
  } else {
    FinishSwap(true, "");
  }
}

void Lifecycle::FinishSwap(bool healthy, const std::string& detail) {
  Swap swap = std::move(*swap_);
  swap_.reset();
  protocol::UpdateReport& report = swap.report;
  report.at = parts_.clock->Now();
  report.swap_gap_ms = bundle_swap_gap_ms_;
  report.agreement = static_cast<double>(swap.agreed) / std::max(1u, swap.frames);
  if (!healthy) {
    report.attempted_bundle = bundle_->bundle;
    report.detail = detail;
    bundle_ = swap.old_bundle;
    bench_.reset();
    adapter_ = std::make_unique<adapt::Adapter>(adapter_->options(), bundle_->bundle);
    adapter_->SetMode(EffectiveMode());
    const auto bytes = base::ReadFile(*parts_.fs, base::JoinPath(options_.folder, previous_.file),
                                      kAdapterBytesMax);
    const Status restored = bytes.ok() ? adapter_->Restore(*bytes) : Status(bytes.error());
    if (!restored.ok()) parts_.logger->Error("adaptation dropped: " + restored.error().message);
    previous_ = {};
    auto stage = std::make_unique<Stage>();
    auto serving = MakeServing(bundle_, adapter_->served(), revision_ + 1);
    auto monitor = serving.ok() ? MakeMonitor(*bundle_, (*serving)->signals())
                                : Result<std::unique_ptr<drift::DriftMonitor>>(serving.error());
    if (serving.ok() && monitor.ok()) {
      stage->serving = std::move(*serving);
      stage->monitor = std::move(*monitor);
      ++revision_;
      path_->Collect();
      path_->Offer(std::move(stage));
      if (adapter_->state() == adapt::AdapterState::kProbation) {
        auto champion = MakeServing(bundle_, adapter_->champion(), 0);
        if (champion.ok()) champion_ = std::move(*champion);
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

Result<std::string> Lifecycle::Keep(const adapt::Adaptation& adaptation,
                                    const std::string& reason) {
  return snapshots_.Save(
      parts_.clock->Now(), reason,
      {{"adaptation", adapt::Serialise(adaptation)}, {"bundle", base::ToBytes(bundle_->bundle)}});
}

Result<std::string> Lifecycle::TakeSnapshot(const std::string& reason) {
  return Keep(adapter_->served(), reason);
}

std::vector<const adapt::QuarantinedSample*> Lifecycle::WantedSamples() const {
  std::vector<const adapt::QuarantinedSample*> wanted;
  const adapt::Adapter::State& state = adapter_->saved();
  if (!event_ || event_->event_id != state.event_id || !state.is_asked) return wanted;
  for (const std::string& sample_id : event_->samples) {
    const adapt::QuarantinedSample* sample = quarantine_.Find(sample_id);
    if (sample != nullptr && !quarantine_.labels().contains(sample_id)) wanted.push_back(sample);
  }
  return wanted;
}

Status Lifecycle::RollBackTo(const std::string& snapshot_id) {
  if (swap_) return Error{ErrorCode::kUnavailable, "rollback: a new bundle is being watched"};
  ASSIGN_OR_RETURN(const state::Blobs blobs, snapshots_.Load(snapshot_id));
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
  action.adaptation = adaptation;
  RETURN_IF_ERROR(Serve(action));
  adapt::Carried carried;
  carried.adaptation = std::move(adaptation);
  adapter_->OnBundle(carried);
  path_->Rebaseline();
  action = {};
  action.kind = adapt::ActionKind::kReport;
  action.text = "rolled back by a person to snapshot " + snapshot_id;
  Do({action});
  return {};
}

LifecycleStatus Lifecycle::status() const {
  LifecycleStatus status;
  if (path_ != nullptr) status.drift = path_->drift_standing();
  const bool learning = path_ != nullptr &&
                        status.drift.phase == drift::DriftMonitor::Phase::kLearning &&
                        adapter_->state() == adapt::AdapterState::kStable;
  status.state = learning ? "learning" : adapt::Name(adapter_->state());
  status.mode = adapt::Name(EffectiveMode());
  status.hypothesis = adapter_->served().hypothesis.name();
  status.challenger = adapter_->served().challenger.name();
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
