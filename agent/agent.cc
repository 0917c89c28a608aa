#include "agent/agent.h"

#include <algorithm>
#include <iterator>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "agent/handover.h"
#include "agent/layout.h"
#include "agent/verbs.h"
#include "base/crypto.h"
#include "base/folder_lock.h"
#include "base/json.h"
#include "base/private_folder.h"
#include "base/text.h"
#include "protocol/desired.h"
#include "protocol/identifiers.h"
#include "protocol/metrics.h"
#include "protocol/update_report.h"
#include "tinylcm/datalog/datalog.h"
#include "tinylcm/model/litert.h"
#include "tinylcm/model/slots.h"
#include "tinylcm/monitor/monitor.h"
#include "tinylcm/pipeline/frame_path.h"
#include "tinylcm/pipeline/lifecycle.h"
#include "tinylcm/source/folder_source.h"
#include "tinylcm/source/stream_source.h"
#include "tinylcm/state/record.h"
#include "tinylcm/sync/enrol.h"
#include "tinylcm/sync/package_maker.h"
#include "tinylcm/sync/package_queue.h"
#include "tinylcm/sync/sync_client.h"
#include "tinylcm/sync/transport.h"

namespace agent {

namespace datalog = tinylcm::datalog;
namespace drift = tinylcm::drift;
namespace model = tinylcm::model;
namespace monitor = tinylcm::monitor;
namespace pipeline = tinylcm::pipeline;
namespace source = tinylcm::source;
namespace sync = tinylcm::sync;

using base::Error;
using base::ErrorCode;
using base::Json;
using base::Result;
using base::Status;
using base::StrCat;
using std::chrono::milliseconds;

namespace {

constexpr std::size_t kSeenWaiting = 128;     // Frames between the frame and the control thread.
constexpr std::size_t kLinesWaiting = 4096;   // Lines between the frame and the main thread.
constexpr std::uint64_t kHealthyFrames = 50;  // Then a start counts as one.
constexpr base::Duration kSecond{1'000};
constexpr base::Duration kLastSend{5'000};  // What a clean stop gives the network.
constexpr base::Duration kDownloadRetry{5'000};
constexpr int kDownloadTries = 20;
constexpr std::size_t kDeploymentsKept = 32;

// One line of the log of predictions.
struct Line {
  std::uint64_t index = 0;
  std::uint64_t adaptation = 0;
  base::Time time{};
  std::optional<std::uint32_t> frame_number;
  std::string answer;
  float confidence = 0.0f;
  float distance = 0.0f;
};

// What the network thread hands to the control thread.
struct Order {
  std::optional<protocol::Feedback> feedback;
  std::optional<protocol::Desired> desired;
  std::string archive;  // Downloaded, of desired->target.
  std::optional<Error> failed;
};

class Agent final : public pipeline::Outbox {
 public:
  Agent(const Config& config, base::FileSystem& fs, base::Clock& clock, base::Logger& logger)
      : config_(config), fs_(fs), clock_(clock), logger_(logger), layout_(config.data) {}

  Status Open();
  Status Run(const std::atomic<bool>& stop);

  // pipeline::Outbox, on the control thread.
  Status Send(std::string_view type, const std::string& bundle,
              std::vector<protocol::PackageFile> files) override;

 private:
  Status OpenSlots();
  Status OpenSync(const base::Ed25519PublicKey** publisher);
  Result<std::unique_ptr<source::Source>> OpenSource();
  model::DeviceTraits Traits() const {
    return {config_.model_family, config_.device_class, kVersion};
  }

  void FrameLoop();
  void ControlLoop();
  void NetworkLoop();

  void Carry(Order order);
  void Install(const protocol::Desired& desired, const std::string& archive);
  void GoBack(const protocol::Desired& desired);
  void SwapTo(const std::string& bundle, const std::string& deployment_id);
  void ReportFailed(const protocol::Desired& desired, const Error& error);
  void ReportRunning(const std::string& deployment_id);
  bool IsSettled(const std::string& deployment_id);
  void Settle(const std::string& deployment_id);
  Status OpenDeployments();
  void SendUpdateReport(const protocol::UpdateReport& report);
  void SendMetrics();
  void TakeRollbackRequest();
  void WriteLines();
  void WriteStatus(bool is_running);

  const Config& config_;
  base::FileSystem& fs_;
  base::Clock& clock_;
  base::Logger& logger_;
  Layout layout_;

  std::optional<base::Ed25519Key> key_;
  std::string device_id_;
  std::optional<sync::Enrolment> enrolment_;
  std::unique_ptr<sync::PackageQueue> queue_;
  std::unique_ptr<sync::PackageMaker> maker_;
  std::unique_ptr<sync::Transport> transport_;
  std::unique_ptr<sync::SyncClient> client_;
  std::optional<model::Slots> slots_;
  std::optional<tinylcm::state::TwoCopyRecord> deployments_;
  std::vector<std::string> settled_;  // Deployments that came to an end; under status_mutex_.
  std::unique_ptr<pipeline::Lifecycle> lifecycle_;
  std::unique_ptr<pipeline::FramePath> path_;
  std::unique_ptr<monitor::Monitor> monitor_;
  std::unique_ptr<source::Source> source_;
  std::optional<datalog::Datalog> datalog_;

  Handover<pipeline::Seen> seen_{kSeenWaiting};
  Handover<Line> lines_{kLinesWaiting};
  std::mutex orders_mutex_;
  std::vector<Order> orders_;
  std::vector<std::string> feedback_taken_;  // Applied; and what could not be, to come again.
  std::vector<std::string> feedback_back_;
  std::atomic<bool> stopping_{false};
  std::atomic<bool> source_ended_{false};
  std::atomic<bool> frames_done_{false};
  std::atomic<std::uint64_t> not_watched_{0};  // Frames the control thread had no room for.

  // The control thread's.
  std::uint64_t frames_here_ = 0;  // Since this start.
  std::uint64_t frames_at_metrics_ = 0;
  base::Duration next_metrics_{0};
  bool is_healthy_ = false;

  // What status shows, written by the control thread.
  std::mutex status_mutex_;
  pipeline::LifecycleStatus status_;
  std::shared_ptr<const model::ModelBundle> bundle_;
};

// ---- Opening ----------------------------------------------------------------------------------

Status Agent::Open() {
  RETURN_IF_ERROR(base::MakePrivateFolder(base::JoinPath(config_.data, "keys")));
  const base::Ed25519PublicKey* publisher = nullptr;
  RETURN_IF_ERROR(OpenSync(&publisher));

  auto slots = model::Slots::Open(fs_, layout_.slots);
  if (!slots.ok() && slots.error().code == ErrorCode::kCorrupt) {
    // The bundle the device came with is still named in the configuration.
    logger_.Error("slots are set aside, the first bundle is installed again: " +
                  slots.error().message);
    RETURN_IF_ERROR(base::RemoveTree(fs_, layout_.slots + ".damaged"));
    RETURN_IF_ERROR(fs_.Rename(layout_.slots, layout_.slots + ".damaged"));
    slots = model::Slots::Open(fs_, layout_.slots);
  }
  if (!slots.ok()) return slots.error();
  slots_.emplace(std::move(slots).value());
  if (slots_->state().current.empty()) {
    ASSIGN_OR_RETURN(const base::FileInfo info, fs_.Stat(config_.bundle));
    std::string installed;
    if (info.is_directory) {
      ASSIGN_OR_RETURN(installed, slots_->InstallFolder(config_.bundle, Traits()));
    } else {
      ASSIGN_OR_RETURN(const model::ArchiveInfo archive,
                       slots_->Install(config_.bundle, publisher, Traits(), std::nullopt));
      installed = archive.bundle;
    }
    RETURN_IF_ERROR(slots_->Activate(installed));
  }
  RETURN_IF_ERROR(OpenSlots());
  RETURN_IF_ERROR(OpenDeployments());
  monitor_ = std::make_unique<monitor::Monitor>(bundle_->manifest.labels, clock_.Uptime());
  ASSIGN_OR_RETURN(
      datalog::Datalog log,
      datalog::Datalog::Open(fs_, layout_.datalog, {.bytes_max = config_.datalog_bytes}));
  datalog_.emplace(std::move(log));
  ASSIGN_OR_RETURN(source_, OpenSource());
  return {};
}

// Loads what the slots say; after three failed starts in a row they say something older.
Status Agent::OpenSlots() {
  std::optional<Error> last;
  for (std::uint32_t tries = 0; tries <= 3 * model::Slots::kFailedStartsMax; ++tries) {
    ASSIGN_OR_RETURN(const std::string current, slots_->BeginStart());
    auto loaded = model::LoadBundle(fs_, slots_->FolderOf(current), Traits());
    if (loaded.ok()) {
      auto bundle = std::make_shared<const model::ModelBundle>(std::move(loaded).value());
      pipeline::LifecycleOptions options;
      options.mode = config_.mode;
      options.false_alarm_every = config_.false_alarm_every;
      options.quarantine_samples = config_.quarantine_samples;
      options.labels_per_event = config_.labels_per_event;
      options.send_images = config_.consent_images;
      options.barcode = config_.source.barcode;
      options.seed = config_.seed;
      options.folder = layout_.lifecycle;
      pipeline::Lifecycle::Parts parts;
      parts.fs = &fs_;
      parts.clock = &clock_;
      parts.logger = &logger_;
      parts.outbox = this;
      parts.open_engine = model::OpenLiteRt;
      parts.make_id = [] { return base::RandomHex(8); };
      auto lifecycle = pipeline::Lifecycle::Open(options, parts, bundle);
      if (lifecycle.ok()) {
        lifecycle_ = std::move(lifecycle).value();
        path_ = std::make_unique<pipeline::FramePath>(lifecycle_->TakeFirstStage(),
                                                      lifecycle_->first_index());
        lifecycle_->Attach(*path_);
        bundle_ = std::move(bundle);
        status_ = lifecycle_->status();
        return {};
      }
      last = lifecycle.error();
      // An engine that is not there is not the bundle's fault.
      if (last->code == ErrorCode::kUnavailable) return *last;
    } else {
      last = loaded.error();
    }
    logger_.Error(StrCat("bundle ", current.substr(0, 12), " does not start: ", last->message));
  }
  return *last;
}

Status Agent::OpenSync(const base::Ed25519PublicKey** publisher) {
  ASSIGN_OR_RETURN(base::Ed25519Key key, sync::LoadOrMakeDeviceKey(fs_, layout_.device_key));
  key_.emplace(std::move(key));
  device_id_ = protocol::DeviceIdOf(key_->public_key());
  if (base::Exists(fs_, layout_.identity)) {
    ASSIGN_OR_RETURN(enrolment_, sync::ReadEnrolment(fs_, layout_.identity));
    *publisher = &enrolment_->trust.publisher_key;
  }
  sync::PackageQueue::Options queue;
  queue.folder = layout_.queue;
  queue.device_id = device_id_;
  queue.bytes_max = config_.sync.quota_bytes;
  ASSIGN_OR_RETURN(queue_, sync::PackageQueue::Open(fs_, clock_, logger_, queue));
  sync::PackageMaker::Options maker;
  maker.agent_version = kVersion;
  maker.boot = base::RandomHex(8);
  maker.config_sha256 = config_.sha256;
  maker.format = config_.sync.format;
  if (enrolment_ && !enrolment_->Takes(protocol::Name(maker.format))) {
    logger_.Warning(
        StrCat("the server does not take ", protocol::Name(maker.format), ", tar.gz is sent"));
    maker.format = protocol::ArchiveFormat::kTarGz;
  }
  maker_ = std::make_unique<sync::PackageMaker>(*queue_, clock_, *key_, maker);

  const std::string server = !config_.sync.server.empty() ? config_.sync.server
                             : enrolment_                 ? enrolment_->server
                                                          : "";
  if (!enrolment_ || server.empty()) {
    logger_.Info("not enrolled: working alone; packages wait in the queue");
    return {};
  }
  sync::CurlOptions curl;
  curl.server = server;
  curl.tls_pin = enrolment_->tls_pin;
  curl.allow_insecure_http = config_.sync.insecure_http;
  ASSIGN_OR_RETURN(transport_, sync::MakeCurlTransport(curl));
  sync::SyncClient::Options client;
  client.interval = config_.sync.interval;
  client.poll_most = config_.sync.poll;
  client.poll_least = std::min(client.poll_least, config_.sync.poll);
  client.backoff = {.least = config_.sync.backoff_min, .most = config_.sync.backoff_max};
  client.seed = config_.seed;
  ASSIGN_OR_RETURN(
      client_, sync::SyncClient::Open(fs_, clock_, logger_, *transport_, *queue_, *maker_, *key_,
                                      enrolment_->trust, layout_.sync_state, client));
  return {};
}

Result<std::unique_ptr<source::Source>> Agent::OpenSource() {
  const SourceConfig& given = config_.source;
  if (given.kind == "images") {
    ASSIGN_OR_RETURN(std::unique_ptr<source::FolderSource> folder,
                     source::FolderSource::Open(fs_, clock_, given.path));
    return std::unique_ptr<source::Source>(std::move(folder));
  }
  source::StreamOptions stream;
  stream.kind = given.kind == "camera" ? source::StreamOptions::Kind::kMjpeg
                : given.kind == "rows" ? source::StreamOptions::Kind::kCsv
                                       : source::StreamOptions::Kind::kJsonl;
  stream.command = given.command;
  stream.path = given.path;
  stream.rows.name = given.path.empty() ? "source" : given.path;
  stream.rows.number_column = given.frame_column;
  stream.rows.label_column = given.label_column;
  ASSIGN_OR_RETURN(std::unique_ptr<source::StreamSource> opened,
                   source::OpenStream(stream, clock_, logger_));
  return std::unique_ptr<source::Source>(std::move(opened));
}

// ---- The frame thread -------------------------------------------------------------------------

void Agent::FrameLoop() {
  std::optional<pipeline::Seen> alarm;  // Must not be lost, however busy the control thread is.
  base::Duration last_warning{-kSecond};
  const auto skipped = [&](const Error& error) {
    monitor_->Skipped();
    const base::Duration now = clock_.Uptime();
    if (now - last_warning < kSecond) return;
    last_warning = now;
    logger_.Warning("skipped: " + error.message);
  };
  while (!stopping_) {
    auto next = source_->Next();
    if (!next.ok()) {
      skipped(next.error());
      continue;
    }
    if (!next->has_value()) {
      if (source_->ended()) break;
      continue;
    }
    auto answered = path_->Process(std::move(**next));
    if (!answered.ok()) {
      skipped(answered.error());
      continue;
    }
    pipeline::Seen& seen = *answered;
    monitor_->Answered({.label = seen.prediction.label,
                        .confidence = seen.prediction.confidence,
                        .distance = seen.prediction.anchor_distance,
                        .total_us = seen.total_us,
                        .decode_us = seen.decode_us,
                        .model_us = seen.model_us,
                        .classify_us = seen.classify_us});
    if (config_.datalog_every > 0 && seen.index % config_.datalog_every == 0) {
      Line line;
      line.index = seen.index;
      line.adaptation = seen.adaptation;
      line.time = seen.time;
      line.frame_number = seen.frame_number;
      line.answer = seen.answer;
      line.confidence = seen.prediction.confidence;
      line.distance = seen.prediction.anchor_distance;
      if (!lines_.TryGive(line)) monitor_->LogDropped(1);
    }
    if (!lifecycle_->wants_frames() && seen.signal != drift::DriftSignal::kDrift) {
      seen.frame.jpeg.clear();
      seen.frame.row.clear();
    }
    if (alarm && seen_.TryGive(*alarm)) alarm.reset();
    const bool is_alarm = seen.signal == drift::DriftSignal::kDrift;
    if (!seen_.TryGive(seen)) {
      not_watched_.fetch_add(1);
      if (is_alarm && !alarm) alarm = std::move(seen);
    }
  }
  // The control thread still takes until it is told that this was all.
  while (alarm && !seen_.TryGive(*alarm)) {
    clock_.SleepUntil(clock_.Uptime() + base::Duration{1});
  }
  source_ended_ = source_->ended();
  frames_done_ = true;
  seen_.Close();
}

// ---- The control thread -----------------------------------------------------------------------

void Agent::ControlLoop() {
  ReportRunning("");
  base::Duration next_tick = clock_.Uptime();
  next_metrics_ = clock_.Uptime() + std::min(config_.sync.interval, base::Duration{10'000});
  while (true) {
    const bool is_last = frames_done_;
    for (const pipeline::Seen& seen : seen_.Take(milliseconds(100))) {
      lifecycle_->OnSeen(seen);
      ++frames_here_;
    }
    std::vector<Order> orders;
    {
      const std::scoped_lock lock(orders_mutex_);
      orders.swap(orders_);
    }
    for (Order& order : orders) Carry(std::move(order));
    if (!is_healthy_ && frames_here_ >= kHealthyFrames) {
      is_healthy_ = true;
      const Status told = slots_->StartedHealthy();
      if (!told.ok()) logger_.Error("slots: " + told.error().message);
    }
    const base::Duration now = clock_.Uptime();
    const std::uint64_t frames = monitor_->counts().frames;
    if (now >= next_metrics_ ||
        (config_.sync.samples > 0 && frames - frames_at_metrics_ >= config_.sync.samples)) {
      SendMetrics();
      frames_at_metrics_ = frames;
      next_metrics_ = now + config_.sync.interval;
    }
    if (now >= next_tick || is_last) {
      next_tick = now + kSecond;
      TakeRollbackRequest();
      lifecycle_->Tick();
    }
    {
      const std::scoped_lock lock(status_mutex_);
      status_ = lifecycle_->status();
      if (bundle_.get() != &lifecycle_->bundle()) {
        bundle_ = lifecycle_->shared_bundle();
        monitor_->SetLabels(bundle_->manifest.labels);
      }
    }
    if (is_last) break;
  }
  SendMetrics();
  lifecycle_->SaveAll();
  if (source_ended_) {
    const Status told = slots_->StartedHealthy();  // A short file is no failed start.
    if (!told.ok()) logger_.Error("slots: " + told.error().message);
  }
}

Status Agent::Send(std::string_view type, const std::string& bundle,
                   std::vector<protocol::PackageFile> files) {
  const auto sent = maker_->Send(type, bundle, files);
  if (!sent.ok()) return sent.error();
  if (client_ != nullptr && config_.sync.on_drift) client_->RequestSend();
  return {};
}

void Agent::SendMetrics() {
  protocol::DeviceMetrics metrics =
      monitor_->TakeWindow(clock_.Now(), clock_.Uptime(), monitor::ReadProcessFigures());
  metrics.dropped = source_->counters().overflow;
  metrics.log_dropped += not_watched_.load();
  const sync::PackageQueue::Counts queue = queue_->counts();
  metrics.queue_packages = queue.waiting;
  metrics.queue_bytes = queue.waiting_bytes;
  metrics.packages_made = queue.made;
  metrics.packages_evicted = queue.evicted_total();
  metrics.packages_dead = queue.dead;
  const auto free_bytes = fs_.FreeBytes(config_.data);
  if (free_bytes.ok()) metrics.disk_free_bytes = *free_bytes;
  const pipeline::LifecycleStatus status = lifecycle_->status();
  metrics.drift_state = status.state;
  metrics.mode = status.mode;
  metrics.hypothesis = status.hypothesis;
  metrics.challenger = status.challenger;
  const model::ModelBundle& bundle = lifecycle_->bundle();
  metrics.model_name = bundle.manifest.name;
  metrics.model_version = bundle.manifest.version;
  metrics.model_family = bundle.manifest.model_family;
  metrics.bundle = bundle.bundle;
  const std::string json = protocol::ToJson(metrics).Write();
  std::vector<protocol::PackageFile> files{
      {std::string(protocol::kMetricsPath), "application/json", base::ToBytes(json)}};
  const auto sent = maker_->Send(protocol::kTypeMetrics, bundle.bundle, files);
  if (!sent.ok()) {
    logger_.Error("metrics: " + sent.error().message);
  } else if (client_ != nullptr) {
    client_->RequestSend();
  }
}

void Agent::SendUpdateReport(const protocol::UpdateReport& report) {
  const std::string json = protocol::ToJson(report).Write();
  const Status sent =
      Send(protocol::kTypeUpdateReport, report.bundle,
           {{std::string(protocol::kUpdateReportPath), "application/json", base::ToBytes(json)}});
  if (!sent.ok()) logger_.Error("update report: " + sent.error().message);
}

void Agent::ReportRunning(const std::string& deployment_id) {
  protocol::UpdateReport report;
  report.deployment_id = deployment_id;
  report.at = clock_.Now();
  report.outcome = protocol::UpdateOutcome::kRunning;
  pipeline::NameRunning(lifecycle_->bundle(), report);
  SendUpdateReport(report);
}

bool Agent::IsSettled(const std::string& deployment_id) {
  if (deployment_id.empty()) return false;
  const std::scoped_lock lock(status_mutex_);
  return std::ranges::find(settled_, deployment_id) != settled_.end();
}

// This deployment came to an end here, good or bad; a restart must know it too.
void Agent::Settle(const std::string& deployment_id) {
  if (deployment_id.empty()) return;
  Json ids = Json::MakeArray();
  {
    const std::scoped_lock lock(status_mutex_);
    settled_.push_back(deployment_id);
    if (settled_.size() > kDeploymentsKept) settled_.erase(settled_.begin());
    for (const std::string& id : settled_) ids.Append(id);
  }
  const std::string text = ids.Write();
  const Status written = deployments_->Write(base::AsBytes(text));
  if (!written.ok()) logger_.Error("deployments: " + written.error().message);
}

Status Agent::OpenDeployments() {
  ASSIGN_OR_RETURN(tinylcm::state::TwoCopyRecord record,
                   tinylcm::state::TwoCopyRecord::Open(fs_, layout_.deployments));
  deployments_.emplace(std::move(record));
  if (!deployments_->value()) return {};
  const auto json = Json::Parse(base::AsText(*deployments_->value()));
  if (!json.ok() || !json->is_array()) return {};
  for (const Json& id : json->as_array()) {
    if (id.is_string()) settled_.push_back(id.as_string());
  }
  return {};
}

void Agent::ReportFailed(const protocol::Desired& desired, const Error& error) {
  Settle(desired.deployment_id);
  logger_.Error(StrCat("deployment ", desired.deployment_id, ": ", error.message));
  protocol::UpdateReport report;
  report.at = clock_.Now();
  report.deployment_id = desired.deployment_id;
  report.outcome = protocol::UpdateOutcome::kFailed;
  pipeline::NameRunning(lifecycle_->bundle(), report);
  if (desired.target) report.attempted_bundle = desired.target->bundle;
  report.detail = error.message;
  SendUpdateReport(report);
}

void Agent::Carry(Order order) {
  if (order.feedback) {
    const Status applied = lifecycle_->OnFeedback(*order.feedback);
    if (!applied.ok()) {
      logger_.Warning("feedback, later again: " + applied.error().message);
    }
    const std::scoped_lock lock(orders_mutex_);
    (applied.ok() ? feedback_taken_ : feedback_back_).push_back(order.feedback->feedback_id);
  }
  if (!order.desired) return;
  if (order.failed) {
    if (!IsSettled(order.desired->deployment_id)) ReportFailed(*order.desired, *order.failed);
    return;
  }
  if (order.desired->mode) {
    const auto mode = tinylcm::adapt::ParseMode(*order.desired->mode);
    if (mode.ok()) lifecycle_->SetMode(*mode);
  }
  const bool goes_back = order.desired->action == protocol::DesiredAction::kRollback;
  if (!goes_back && order.archive.empty()) {
    const bool runs_already = order.desired->target &&
                              order.desired->target->bundle == lifecycle_->bundle().bundle &&
                              !lifecycle_->swap_is_under_way();
    if (runs_already && !IsSettled(order.desired->deployment_id)) {
      Settle(order.desired->deployment_id);
      ReportRunning(order.desired->deployment_id);
    }
    return;
  }
  // Each deployment is acted on once, however often its document comes.
  if (IsSettled(order.desired->deployment_id)) return;
  if (lifecycle_->swap_is_under_way()) {
    const std::scoped_lock lock(orders_mutex_);
    orders_.push_back(std::move(order));
    return;
  }
  if (goes_back) {
    GoBack(*order.desired);
  } else {
    Install(*order.desired, order.archive);
  }
}

void Agent::Install(const protocol::Desired& desired, const std::string& archive) {
  const auto installed = slots_->Install(archive, &enrolment_->trust.publisher_key, Traits(),
                                         desired.target->archive_sha256);
  static_cast<void>(fs_.Remove(archive).ok());  // Unpacked or refused, it is of no more use.
  if (!installed.ok()) return ReportFailed(desired, installed.error());
  if (installed->bundle != desired.target->bundle) {
    return ReportFailed(desired, {ErrorCode::kCorrupt, "the archive holds another bundle"});
  }
  // A device stays with its family even where its configuration names none.
  if (installed->manifest.model_family != lifecycle_->bundle().manifest.model_family) {
    return ReportFailed(
        desired, {ErrorCode::kUnsupported,
                  StrCat("model family ", installed->manifest.model_family, ", this device runs ",
                         lifecycle_->bundle().manifest.model_family)});
  }
  SwapTo(installed->bundle, desired.deployment_id);
}

void Agent::GoBack(const protocol::Desired& desired) {
  const std::string previous =
      slots_->state().previous.empty() ? slots_->state().golden : slots_->state().previous;
  if (previous.empty() || previous == lifecycle_->bundle().bundle) {
    return ReportFailed(desired, {ErrorCode::kNotFound, "there is no bundle to go back to"});
  }
  SwapTo(previous, desired.deployment_id);
}

void Agent::SwapTo(const std::string& bundle, const std::string& deployment_id) {
  protocol::Desired about;
  about.deployment_id = deployment_id;
  about.target = protocol::Desired::Target{};
  about.target->bundle = bundle;
  auto loaded = model::LoadBundle(fs_, slots_->FolderOf(bundle), Traits());
  if (!loaded.ok()) return ReportFailed(about, loaded.error());
  const Status swapped = lifecycle_->SwapBundle(
      std::make_shared<const model::ModelBundle>(std::move(loaded).value()), deployment_id,
      [this, bundle, deployment_id](bool healthy, protocol::UpdateReport report) {
        if (healthy) {
          const Status activated = slots_->Activate(bundle);
          if (!activated.ok()) {
            // It answers now, but the next start would bring the old one: that is no success.
            report.outcome = protocol::UpdateOutcome::kFailed;
            report.detail = "runs until the next start only: " + activated.error().message;
            logger_.Error("slots: " + report.detail);
          }
          const Status told = slots_->StartedHealthy();
          if (!told.ok()) logger_.Error("slots: " + told.error().message);
        }
        const Status collected = slots_->CollectGarbage();
        if (!collected.ok()) logger_.Warning("slots: " + collected.error().message);
        Settle(deployment_id);
        SendUpdateReport(report);
      });
  if (!swapped.ok()) ReportFailed(about, swapped.error());
}

void Agent::TakeRollbackRequest() {
  const auto request = base::ReadTextFile(fs_, layout_.rollback_request, 256);
  if (!request.ok()) return;
  static_cast<void>(fs_.Remove(layout_.rollback_request).ok());
  const Status done = lifecycle_->RollBackTo(std::string(base::Trim(*request)));
  if (!done.ok()) logger_.Error("state rollback: " + done.error().message);
}

// ---- The network thread -----------------------------------------------------------------------

void Agent::NetworkLoop() {
  std::optional<protocol::Desired> wanted;  // Whose archive is still to be fetched.
  int tries = 0;                            // At it.
  std::set<std::string> handed_on;          // Feedback the control thread works on.
  while (!client_->is_stopped()) {
    {
      const std::scoped_lock lock(orders_mutex_);
      for (const std::string& id : feedback_taken_) {
        client_->FeedbackTaken(id);
        handed_on.erase(id);
      }
      for (const std::string& id : feedback_back_) handed_on.erase(id);
      feedback_taken_.clear();
      feedback_back_.clear();
    }
    sync::SyncResult result = client_->SyncOnce(clock_.Uptime());
    std::vector<Order> orders;
    for (protocol::Feedback& feedback : result.feedback) {
      // It comes again until it was taken; once is enough for the control thread.
      if (!handed_on.insert(feedback.feedback_id).second) continue;
      Order order;
      order.feedback = std::move(feedback);
      orders.push_back(std::move(order));
    }
    if (result.desired) {
      const bool installs = result.desired->action == protocol::DesiredAction::kInstall;
      std::string running;
      {
        const std::scoped_lock lock(status_mutex_);
        running = bundle_->bundle;
      }
      if (!installs || IsSettled(result.desired->deployment_id) ||
          result.desired->target->bundle == running) {
        wanted.reset();
      } else if (!wanted || wanted->deployment_id != result.desired->deployment_id) {
        wanted = result.desired;
        tries = 0;
      }
      Order order;
      order.desired = std::move(result.desired);
      orders.push_back(std::move(order));
    }
    base::Duration next = result.next;
    if (wanted) {
      const std::string file =
          base::JoinPath(layout_.downloads, wanted->target->archive_sha256 + ".tar.zst");
      Status fetched = fs_.CreateDirectories(layout_.downloads);
      if (fetched.ok()) fetched = client_->Download(*wanted->target, file);
      // Whatever came back may have been said by something in between; only after many tries in a
      // row is it given up.
      if (!fetched.ok() && ++tries < kDownloadTries) {
        logger_.Warning("download, later again: " + fetched.error().message);
        next = std::min(next, clock_.Uptime() + tries * kDownloadRetry);
      } else {
        tries = 0;
        Order order;
        order.desired = std::exchange(wanted, std::nullopt);
        if (fetched.ok()) {
          order.archive = file;
        } else {
          order.failed = fetched.error();
        }
        orders.push_back(std::move(order));
      }
    }
    if (!orders.empty()) {
      const std::scoped_lock lock(orders_mutex_);
      std::move(orders.begin(), orders.end(), std::back_inserter(orders_));
    }
    client_->WaitUntil(next);
  }
}

// ---- The main thread --------------------------------------------------------------------------

void Agent::WriteLines() {
  for (const Line& line : lines_.Take(milliseconds(0))) {
    Json json = Json::MakeObject(
        {{"at", base::FormatTime(line.time)},
         {"index", line.index},
         {"frame", line.frame_number ? Json(std::int64_t{*line.frame_number}) : Json()},
         {"prediction", line.answer},
         {"confidence", static_cast<double>(line.confidence)},
         {"distance", static_cast<double>(line.distance)},
         {"adaptation", line.adaptation}});
    if (!datalog_->Append(json.Write())) monitor_->LogDropped(1);
  }
  const Status flushed = datalog_->Flush();
  if (!flushed.ok()) logger_.Error("datalog: " + flushed.error().message);
}

void Agent::WriteStatus(bool is_running) {
  pipeline::LifecycleStatus lifecycle;
  std::shared_ptr<const model::ModelBundle> bundle;
  {
    const std::scoped_lock lock(status_mutex_);
    lifecycle = status_;
    bundle = bundle_;
  }
  const monitor::Monitor::Counts counts = monitor_->counts();
  const sync::PackageQueue::Counts queue = queue_->counts();
  const source::SourceCounters from = source_->counters();
  Json events = Json::MakeArray();
  for (const pipeline::EventSummary& event : lifecycle.events) {
    Json channels = Json::MakeArray();
    for (const std::int64_t channel : event.channels) channels.Append(channel);
    events.Append(Json::MakeObject(
        {{"event_id", event.event_id},
         {"index", event.index},
         {"frame", event.frame_number ? Json(std::int64_t{*event.frame_number}) : Json()},
         {"kind", event.kind},
         {"text", event.text},
         {"channels", std::move(channels)}}));
  }
  Json status =
      Json::MakeObject({{"device_id", device_id_},
                        {"name", config_.name},
                        {"running", is_running},
                        {"written_at", base::FormatTime(clock_.Now())},
                        {"state", lifecycle.state},
                        {"mode", lifecycle.mode},
                        {"frames", counts.frames},
                        {"fps", monitor_->Fps(clock_.Uptime())},
                        {"skipped", counts.skipped},
                        {"dropped", from.overflow},
                        {"source_restarts", from.restarts},
                        {"bundle", Json::MakeObject({{"name", bundle->manifest.name},
                                                     {"version", bundle->manifest.version},
                                                     {"bundle", bundle->bundle}})},
                        {"adaptation", Json::MakeObject({{"hypothesis", lifecycle.hypothesis},
                                                         {"challenger", lifecycle.challenger},
                                                         {"revision", lifecycle.revision}})},
                        {"labels_applied", lifecycle.labels_applied},
                        {"adaptations", lifecycle.adaptations},
                        {"rollbacks", lifecycle.rollbacks},
                        {"escalations", lifecycle.escalations},
                        {"swap_gap_ms", lifecycle.swap_gap_ms},
                        {"events", std::move(events)},
                        {"queue", Json::MakeObject({{"waiting", queue.waiting},
                                                    {"waiting_bytes", queue.waiting_bytes},
                                                    {"made", queue.made},
                                                    {"dead", queue.dead},
                                                    {"evicted", queue.evicted_total()}})}});
  if (client_ != nullptr) {
    const sync::SyncStatus sync = client_->status();
    status.Set(
        "sync",
        Json::MakeObject({{"server", enrolment_->server},
                          {"last_contact",
                           sync.last_contact ? Json(base::FormatTime(*sync.last_contact)) : Json()},
                          {"last_error", sync.last_error},
                          {"held", sync.held},
                          {"decommissioned", sync.decommissioned},
                          {"sent", sync.sent},
                          {"duplicates", sync.duplicates},
                          {"refused", sync.refused}}));
  }
  // Read by people and scripts only, so whole but not synced: a rename is enough.
  const std::string text = status.WritePretty() + "\n";
  const std::string temporary = layout_.status + ".new";
  auto file = fs_.Create(temporary, base::FileSystem::Mode::kTruncate);
  if (!file.ok() || !(*file)->Append(base::AsBytes(text)).ok() || !(*file)->Close().ok()) return;
  static_cast<void>(fs_.Rename(temporary, layout_.status).ok());
}

Status Agent::Run(const std::atomic<bool>& stop) {
  logger_.Info(StrCat(config_.name, " (", device_id_, ") runs ", bundle_->manifest.name, " ",
                      bundle_->manifest.version, ", ", tinylcm::adapt::Name(config_.mode)));
  std::thread control(&Agent::ControlLoop, this);
  std::thread network;
  if (client_ != nullptr) network = std::thread(&Agent::NetworkLoop, this);
  std::thread frames(&Agent::FrameLoop, this);
  base::Duration next = clock_.Uptime();
  while (!stop && !frames_done_) {
    const base::Duration now = clock_.Uptime();
    if (now >= next) {
      next = now + kSecond;
      WriteLines();
      WriteStatus(true);
    }
    clock_.SleepUntil(now + base::Duration{50});
  }
  stopping_ = true;
  frames.join();
  control.join();
  WriteLines();
  const Status closed = datalog_->Close();
  if (!closed.ok()) logger_.Error("datalog: " + closed.error().message);
  if (network.joinable()) {
    client_->RequestSend();
    const base::Duration end = clock_.Uptime() + kLastSend;
    while (queue_->counts().waiting > 0 && clock_.Uptime() < end) {
      clock_.SleepUntil(clock_.Uptime() + base::Duration{20});
    }
    client_->Stop();
    transport_->Cancel();
    network.join();
  }
  WriteStatus(false);
  logger_.Info("stopped");
  return {};
}

}  // namespace

Status RunAgent(const Config& config, base::FileSystem& fs, base::Clock& clock,
                base::Logger& logger, const std::atomic<bool>& stop) {
  RETURN_IF_ERROR(base::MakePrivateFolder(config.data));
  ASSIGN_OR_RETURN(const base::FolderLock lock, base::FolderLock::Take(config.data, "agent"));
  Agent agent(config, fs, clock, logger);
  RETURN_IF_ERROR(agent.Open());
  return agent.Run(stop);
}

}  // namespace agent
