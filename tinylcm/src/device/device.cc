#include <algorithm>
#include <deque>
#include <utility>
#include <variant>

#include "base/check.h"
#include "base/crypto.h"
#include "base/file_system.h"
#include "base/folder_lock.h"
#include "base/logger.h"
#include "base/text.h"
#include "protocol/adaptation_report.h"
#include "protocol/drift_event.h"
#include "protocol/feedback.h"
#include "protocol/metrics.h"
#include "tinylcm/model/archive.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/model/engine.h"
#include "tinylcm/monitor/monitor.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/pipeline/lifecycle.h"
#include "tinylcm/tinylcm.h"

namespace tinylcm {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

namespace {

constexpr std::size_t kDriftsKept = 64;
constexpr base::Duration kHousekeeping{1'000};
constexpr std::uint64_t kKeyBytesMax = 4096;

Result<model::ModelBundle> LoadBundle(const Device::Options& options, base::FileSystem& fs) {
  const model::DeviceTraits traits{
      .model_family = {}, .device_class = {}, .agent_version = Version()};
  ASSIGN_OR_RETURN(const base::FileInfo info, fs.Stat(options.bundle));
  if (info.is_directory) {
    if (!options.publisher_key.empty()) {
      return Error{ErrorCode::kPermissionDenied,
                   options.bundle + ": a folder; with a publisher's key an archive is asked"};
    }
    return model::LoadBundle(fs, options.bundle, traits);
  }
  base::Ed25519PublicKey publisher{};
  if (!options.publisher_key.empty()) {
    ASSIGN_OR_RETURN(const std::string text,
                     base::ReadTextFile(fs, options.publisher_key, kKeyBytesMax));
    auto key = base::ParsePublicKeyText(text);
    if (!key.ok()) return key.error().Within(options.publisher_key);
    publisher = *key;
  }
  const std::string folder = base::JoinPath(options.state, "bundle");
  RETURN_IF_ERROR(base::RemoveTree(fs, folder));  // An earlier life's.
  ASSIGN_OR_RETURN(
      const model::ArchiveInfo archive,
      model::UnpackArchive(fs, options.bundle, folder,
                           options.publisher_key.empty() ? nullptr : &publisher, traits));
  return model::LoadBundle(fs, folder, traits);
}

}  // namespace

struct Device::Impl final : pipeline::Outbox {
  explicit Impl(Options asked)
      : options(std::move(asked)),
        fs(options.fs != nullptr ? *options.fs : base::SystemFileSystem()),
        clock(options.clock != nullptr ? *options.clock : base::SystemClock()),
        logger(options.logger != nullptr ? *options.logger : base::NullLogger()) {}

  Status Open();
  Result<std::optional<Answer>> Process();
  Status Send(std::string_view type, const std::string& bundle,
              std::vector<protocol::PackageFile> files) override;
  void NoteAlarm();
  Status Tell(protocol::Feedback feedback);
  void Tick();
  void Deliver();
  protocol::DeviceMetrics TakeMetrics();
  std::optional<WantedLabels> Wanted() const;

  Options options;
  base::FileSystem& fs;
  base::Clock& clock;
  base::Logger& logger;
  std::optional<base::FolderLock> lock;
  std::shared_ptr<const model::ModelBundle> bundle;
  std::unique_ptr<pipeline::Lifecycle> lifecycle;
  std::unique_ptr<pipeline::FramePath> path;
  std::unique_ptr<monitor::Monitor> monitor;

  pipeline::Seen seen;  // The last sample; its memory is used again.
  // Of what answers, as the path counts it; those before are kept, for answers point into them.
  std::vector<std::shared_ptr<const pipeline::NamedBundle>> named;
  std::uint32_t named_as = UINT32_MAX;
  std::uint64_t given = 0;  // Samples, good and bad.
  drift::DriftSignal last_signal = drift::DriftSignal::kLearning;
  std::uint64_t since_housekeeping = 0;
  base::Duration next_housekeeping{0};
  base::Duration next_metrics{0};

  std::uint64_t alarms = 0;
  std::string last_event;
  std::deque<protocol::DriftEvent> drifts;  // For NextDrift.
  std::uint64_t drifts_dropped = 0;

  // What callbacks are still to be told, in order. One that throws leaves the rest for the next
  // call.
  using Event = std::variant<protocol::DriftEvent, WantedLabels, protocol::AdaptationReport,
                             protocol::DeviceMetrics>;
  std::deque<Event> events;
  bool is_calling_back = false;
};

namespace {

// True while it lives, whatever a callback throws.
class During {
 public:
  explicit During(bool& flag) : flag_(flag) { flag_ = true; }
  ~During() { flag_ = false; }
  During(const During&) = delete;
  During& operator=(const During&) = delete;

 private:
  bool& flag_;
};

}  // namespace

Status Device::Impl::Open() {
  if (options.state.empty()) {
    return Error{ErrorCode::kInvalidArgument, "device: a state folder is asked"};
  }
  RETURN_IF_ERROR(fs.CreateDirectories(options.state));
  if (options.fs == nullptr) {
    ASSIGN_OR_RETURN(base::FolderLock taken, base::FolderLock::Take(options.state, "device"));
    lock.emplace(std::move(taken));
  }
  ASSIGN_OR_RETURN(model::ModelBundle loaded, LoadBundle(options, fs));
  bundle = std::make_shared<const model::ModelBundle>(std::move(loaded));

  pipeline::LifecycleOptions lifecycle_options;
  lifecycle_options.mode = options.mode;
  lifecycle_options.false_alarm_every = options.false_alarm_every;
  lifecycle_options.commission = options.commission_samples;
  lifecycle_options.cycle = options.cycle;
  lifecycle_options.quarantine_samples = options.quarantine_samples;
  lifecycle_options.labels_per_event = options.labels_per_event;
  lifecycle_options.seed = options.seed;
  lifecycle_options.folder = base::JoinPath(options.state, "lifecycle");
  pipeline::Lifecycle::Parts parts;
  parts.fs = &fs;
  parts.clock = &clock;
  parts.logger = &logger;
  parts.outbox = this;
  parts.open_engine = model::OpenEngine;
  parts.make_id = options.make_id ? options.make_id : [] { return base::RandomHex(8); };
  ASSIGN_OR_RETURN(lifecycle, pipeline::Lifecycle::Open(lifecycle_options, parts, bundle));
  path =
      std::make_unique<pipeline::FramePath>(lifecycle->TakeFirstStage(), lifecycle->first_index());
  lifecycle->Attach(*path);
  if (lifecycle->event()) last_event = lifecycle->event()->event_id;

  const base::Duration now = clock.Uptime();
  monitor = std::make_unique<monitor::Monitor>(bundle->manifest.labels, now);
  next_housekeeping = now + kHousekeeping;
  next_metrics = now + options.metrics_every;
  return {};
}

// ---- A sample ---------------------------------------------------------------------------------

// Of seen.frame.
Result<std::optional<Answer>> Device::Impl::Process() {
  Deliver();  // What a callback that threw left behind.
  seen.frame.time = clock.Now();
  seen.frame.index = given++;
  const Status answered = path->Answer(seen.frame, seen);
  if (!answered.ok()) {
    if (pipeline::IsNotYet(answered.error())) return std::optional<Answer>();
    monitor->Skipped();
    return answered.error();
  }
  // What answered may know classes that people opened.
  if (seen.bundle != named_as) {
    named.push_back(path->BundleOf(seen.bundle));
    named_as = seen.bundle;
    monitor->SetLabels(named.back()->labels);
  }
  const std::vector<std::string>& names = named.back()->labels;
  Answer answer;
  answer.index = seen.index;
  answer.label = seen.prediction.label < names.size()
                     ? std::string_view(names[seen.prediction.label])
                     : std::string_view("unknown");
  answer.confidence = seen.prediction.confidence;
  answer.distance = seen.prediction.anchor_distance;
  answer.share = path->inference().share;
  answer.truth = seen.frame.label;
  answer.signal = seen.signal;
  answer.adaptation = seen.adaptation;
  answer.total_us = seen.total_us;
  monitor->Answered({.label = seen.prediction.label,
                     .confidence = seen.prediction.confidence,
                     .distance = seen.prediction.anchor_distance,
                     .total_us = seen.total_us,
                     .decode_us = seen.decode_us,
                     .model_us = seen.model_us,
                     .classify_us = seen.classify_us});
  lifecycle->OnSeen(seen);
  if (seen.signal == drift::DriftSignal::kDrift) NoteAlarm();
  ++since_housekeeping;
  const bool is_due = options.housekeeping_samples > 0
                          ? since_housekeeping >= options.housekeeping_samples
                          : clock.Uptime() >= next_housekeeping;
  if (is_due) Tick();

  const bool begins_warning = seen.signal == drift::DriftSignal::kWarning &&
                              last_signal != drift::DriftSignal::kWarning &&
                              last_signal != drift::DriftSignal::kDrift;
  last_signal = seen.signal;
  {
    const During during(is_calling_back);
    if (options.on_prediction) options.on_prediction(answer);
    if (begins_warning && options.on_warning) options.on_warning(answer);
  }
  Deliver();
  return std::optional<Answer>(answer);
}

// An alarm begins an event, unless an earlier one is still being looked into.
void Device::Impl::NoteAlarm() {
  const auto& event = lifecycle->event();
  if (!event || event->event_id == last_event) return;
  last_event = event->event_id;
  ++alarms;
  if (drifts.size() == kDriftsKept) {
    drifts.pop_front();
    ++drifts_dropped;
  }
  drifts.push_back(*event);
  if (options.on_drift) events.emplace_back(*event);
}

// What an agent would send to its server.
Status Device::Impl::Send(std::string_view type, const std::string&,
                          std::vector<protocol::PackageFile> files) {
  if (type == protocol::kTypeDriftEvent && options.on_labels_wanted) {
    auto wanted = Wanted();
    if (wanted) events.emplace_back(std::move(*wanted));
  } else if (type == protocol::kTypeAdaptation && options.on_adaptation) {
    for (const protocol::PackageFile& file : files) {
      if (file.path != protocol::kAdaptationPath) continue;
      ASSIGN_OR_RETURN(protocol::AdaptationReport report,
                       protocol::ParseAdaptationReport(base::AsText(file.bytes)));
      events.emplace_back(std::move(report));
    }
  }
  return {};
}

std::optional<WantedLabels> Device::Impl::Wanted() const {
  const auto samples = lifecycle->WantedSamples();
  if (samples.empty()) return std::nullopt;
  WantedLabels wanted;
  wanted.event_id = lifecycle->event()->event_id;
  const std::vector<std::string> known = lifecycle->labels();
  for (const adapt::QuarantinedSample* sample : samples) {
    WantedSample one;
    one.sample_id = sample->sample_id;
    one.index = sample->index;
    one.prediction = sample->prediction < known.size() ? known[sample->prediction] : "unknown";
    one.confidence = sample->confidence;
    if (sample->has_picture) {
      auto picture = lifecycle->quarantine().Picture(sample->sample_id);
      if (picture.ok()) one.picture = std::move(*picture);
    } else {
      one.row = sample->raw;
    }
    wanted.samples.push_back(std::move(one));
  }
  return wanted;
}

Status Device::Impl::Tell(protocol::Feedback feedback) {
  feedback.feedback_id = "f-" + (options.make_id ? options.make_id() : base::RandomHex(8));
  feedback.bundle = bundle->bundle;
  RETURN_IF_ERROR(lifecycle->OnFeedback(feedback));
  Deliver();
  return {};
}

// ---- Now and then -----------------------------------------------------------------------------

void Device::Impl::Tick() {
  lifecycle->Tick();
  since_housekeeping = 0;
  const base::Duration now = clock.Uptime();
  next_housekeeping = now + kHousekeeping;
  if (options.on_metrics && now >= next_metrics) {
    next_metrics = now + options.metrics_every;
    events.emplace_back(TakeMetrics());
  }
}

protocol::DeviceMetrics Device::Impl::TakeMetrics() {
  protocol::DeviceMetrics metrics =
      monitor->TakeWindow(clock.Now(), clock.Uptime(), monitor::ReadProcessFigures());
  const auto free_bytes = fs.FreeBytes(options.state);
  if (free_bytes.ok()) metrics.disk_free_bytes = *free_bytes;
  lifecycle->Describe(metrics);
  return metrics;
}

void Device::Impl::Deliver() {
  if (is_calling_back) return;  // The call that is under way goes on with these.
  const During during(is_calling_back);
  while (!events.empty()) {
    const Event event = std::move(events.front());
    events.pop_front();
    if (const auto* drift = std::get_if<protocol::DriftEvent>(&event)) {
      options.on_drift(*drift);
    } else if (const auto* wanted = std::get_if<WantedLabels>(&event)) {
      options.on_labels_wanted(*wanted);
    } else if (const auto* report = std::get_if<protocol::AdaptationReport>(&event)) {
      options.on_adaptation(*report);
    } else {
      options.on_metrics(std::get<protocol::DeviceMetrics>(event));
    }
  }
}

// ---- What a user sees -------------------------------------------------------------------------

Device::Device(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Device::Device(Device&&) noexcept = default;

Device& Device::operator=(Device&& other) noexcept {
  if (this == &other) return *this;
  Device old(std::move(*this));  // Saved and closed like any other.
  impl_ = std::move(other.impl_);
  return *this;
}

Device::~Device() {
  if (impl_ == nullptr) return;  // Moved from.
  CHECK(!impl_->is_calling_back);
  impl_->lifecycle->SaveAll();
}

Result<Device> Device::Open(Options options) {
  auto impl = std::make_unique<Impl>(std::move(options));
  RETURN_IF_ERROR(impl->Open());
  return Device(std::move(impl));
}

namespace {

Error CalledBack() {
  return {ErrorCode::kConflict, "process: called from within a callback of the same device"};
}

}  // namespace

Result<std::optional<Answer>> Device::Process(std::span<const float> row, std::string_view truth) {
  if (impl_->is_calling_back) return CalledBack();
  source::Frame& frame = impl_->seen.frame;
  frame.row.assign(row.begin(), row.end());
  frame.picture.clear();
  frame.label = truth;
  return impl_->Process();
}

Result<std::optional<Answer>> Device::Process(const source::PictureView& picture,
                                              std::string_view truth) {
  if (impl_->is_calling_back) return CalledBack();
  source::Frame& frame = impl_->seen.frame;
  frame.row.clear();
  frame.picture.assign(picture.bytes.begin(), picture.bytes.end());
  frame.format = picture.format;
  frame.width = picture.width;
  frame.height = picture.height;
  frame.label = truth;
  return impl_->Process();
}

std::optional<protocol::DriftEvent> Device::NextDrift() {
  if (impl_->drifts.empty()) return std::nullopt;
  std::optional<protocol::DriftEvent> event = std::move(impl_->drifts.front());
  impl_->drifts.pop_front();
  return event;
}

std::optional<protocol::DriftEvent> Device::LastDrift() const { return impl_->lifecycle->event(); }

std::optional<WantedLabels> Device::Wanted() const { return impl_->Wanted(); }

Status Device::ApplyLabels(std::span<const SampleLabel> labels) {
  const std::vector<std::string> names = impl_->lifecycle->labels();
  protocol::Feedback feedback;
  for (const SampleLabel& label : labels) {
    if (impl_->lifecycle->quarantine().Find(label.sample_id) == nullptr) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("label: sample ", label.sample_id, " is not in quarantine")};
    }
    if (!label.opens_class && std::find(names.begin(), names.end(), label.label) == names.end()) {
      return Error{ErrorCode::kInvalidArgument, StrCat("label: sample ", label.sample_id, ": ",
                                                       label.label, " is no class of this bundle")};
    }
    feedback.labels.push_back({label.sample_id, label.label, 1.0, 1, label.opens_class});
  }
  if (feedback.labels.empty()) return {};
  return impl_->Tell(std::move(feedback));
}

Status Device::RetractLabels(std::span<const std::string> sample_ids) {
  protocol::Feedback feedback;
  for (const std::string& sample_id : sample_ids) {
    if (!impl_->lifecycle->quarantine().labels().contains(sample_id)) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("retract: sample ", sample_id, " has no label")};
    }
    feedback.retract.push_back(sample_id);
  }
  if (feedback.retract.empty()) return {};
  return impl_->Tell(std::move(feedback));
}

Status Device::ApplyVerdict(const std::string& event_id, EventVerdict verdict) {
  const auto& event = impl_->lifecycle->event();
  if (!event || event->event_id != event_id) {
    return Error{ErrorCode::kNotFound, StrCat("verdict: ", event_id, " is not the newest event")};
  }
  protocol::Feedback feedback;
  feedback.events.push_back(
      {event_id, verdict == EventVerdict::kReal         ? protocol::EventVerdict::kReal
                 : verdict == EventVerdict::kFalseAlarm ? protocol::EventVerdict::kFalseAlarm
                                                        : protocol::EventVerdict::kExpected});
  return impl_->Tell(std::move(feedback));
}

void Device::SetMode(adapt::Mode mode) { impl_->lifecycle->SetMode(mode); }

Result<std::vector<Snapshot>> Device::Snapshots() const {
  ASSIGN_OR_RETURN(const state::SnapshotStore::Listing listing, impl_->lifecycle->Snapshots());
  std::vector<Snapshot> snapshots;
  for (const state::SnapshotInfo& info : listing.snapshots) {
    snapshots.push_back({info.id, info.created, info.reason});
  }
  return snapshots;
}

Result<std::string> Device::TakeSnapshot(const std::string& reason) {
  return impl_->lifecycle->TakeSnapshot(reason);
}

Status Device::RollBackTo(const std::string& snapshot_id) {
  RETURN_IF_ERROR(impl_->lifecycle->RollBackTo(snapshot_id));
  impl_->Deliver();
  return {};
}

void Device::Tick() {
  impl_->Tick();
  impl_->Deliver();
}

void Device::Save() { impl_->lifecycle->SaveAll(); }

std::vector<std::string> Device::labels() const { return impl_->lifecycle->labels(); }
bool Device::takes_pictures() const { return impl_->bundle->is_image; }
std::string_view Device::bundle() const { return impl_->bundle->bundle; }

DeviceStatus Device::status() const {
  const pipeline::LifecycleStatus lifecycle = impl_->lifecycle->status();
  const monitor::Monitor::Counts counts = impl_->monitor->counts();
  DeviceStatus status;
  status.state = lifecycle.state;
  status.mode = lifecycle.mode;
  status.hypothesis = lifecycle.hypothesis;
  status.challenger = lifecycle.challenger;
  status.answered = counts.frames;
  status.skipped = counts.skipped;
  status.alarms = impl_->alarms;
  status.drifts_dropped = impl_->drifts_dropped;
  status.labels_applied = lifecycle.labels_applied;
  status.adaptations = lifecycle.adaptations;
  status.rollbacks = lifecycle.rollbacks;
  status.escalations = lifecycle.escalations;
  return status;
}

protocol::DeviceMetrics Device::Metrics() { return impl_->TakeMetrics(); }

}  // namespace tinylcm
