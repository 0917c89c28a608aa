#include <span>
#include <thread>
#include <utility>

#include "agent/agent_impl.h"
#include "agent/heap.h"
#include "tinylcm/pipeline/accuracy.h"

namespace agent {

void Agent::TakeLog() {
  const std::uint64_t lost = log_->Take(rings_, clock_.Uptime());
  if (lost > 0) monitor_->LogDropped(lost);
}

void Agent::FlushLog() {
  const Status flushed = log_->Flush();
  const std::string error = flushed.ok() ? "" : flushed.error().message;
  if (error != log_error_) {  // Said once, not every second of a full disk.
    if (flushed.ok()) {
      logger_.Info("datalog: there is room again");
    } else {
      logger_.Error(error);
    }
    log_error_ = error;
  }
  const std::scoped_lock lock(status_mutex_);
  log_bytes_ = log_->log().bytes();
  log_evicted_files_ = log_->log().evicted_files();
}

// With consent: what the log's policy chose to keep, once an interval or as soon as it is many.
void Agent::SendPictures() {
  const base::Duration now = clock_.Uptime();
  next_pictures_ = now + newest_.sync.interval;
  const std::span<const protocol::PackageFile> files = log_->Package();
  if (files.empty()) return;
  const auto sent = maker_->Send(protocol::kTypePredictionImages, log_->package_bundle(), files);
  if (sent.ok()) return log_->PackageIsSent();
  logger_.Warning("prediction images: " + sent.error().message);
  no_pictures_before_ = now + kPicturesRetry;
  next_pictures_ = std::min(next_pictures_, no_pictures_before_);
}

void Agent::Locate() {
  if (locator_ == nullptr) return;
  const std::optional<location::Place> place = locator_->Where(clock_.Uptime());
  const std::scoped_lock lock(status_mutex_);
  place_ = place;
}

void Agent::FillMetrics(protocol::DeviceMetrics& metrics) {
  metrics.dropped = source_->counters().overflow;
  const sync::PackageQueue::Counts queue = queue_->counts();
  metrics.queue_packages = queue.waiting;
  metrics.queue_bytes = queue.waiting_bytes;
  metrics.packages_made = queue.made;
  metrics.packages_evicted = queue.evicted_total();
  metrics.packages_dead = queue.dead;
  const auto free_bytes = fs_.FreeBytes(config_.data);
  if (free_bytes.ok()) metrics.disk_free_bytes = *free_bytes;
  if (client_ != nullptr) {
    if (const auto contact = client_->status().last_contact) {
      if (!metrics.link) metrics.link.emplace();
      metrics.link->last_contact = contact;
    }
  }
  const std::scoped_lock lock(status_mutex_);
  metrics.location = place_;
  metrics.log_bytes = log_bytes_;
  metrics.log_evicted_files = log_evicted_files_;
}

monitor::MetricsSnapshot Agent::LookAtMetrics() {
  monitor::MetricsSnapshot snapshot =
      monitor_->Look(clock_.Now(), clock_.Uptime(), monitor::ReadProcessFigures());
  protocol::DeviceMetrics& metrics = snapshot.metrics;
  FillMetrics(metrics);
  pipeline::Tell(path_->Accuracy(), metrics);
  const std::scoped_lock lock(status_mutex_);
  metrics.drift_state = status_.state;
  metrics.mode = status_.mode;
  metrics.hypothesis = status_.hypothesis;
  metrics.challenger = status_.challenger;
  metrics.model_name = bundle_->manifest.name;
  metrics.model_version = bundle_->manifest.version;
  metrics.model_family = bundle_->manifest.model_family;
  metrics.bundle = bundle_->bundle;
  return snapshot;
}

void Agent::WriteStatus(bool is_running) {
  pipeline::LifecycleStatus lifecycle;
  std::shared_ptr<const model::ModelBundle> bundle;
  std::optional<location::Place> place;
  ConfigStatus config;
  {
    const std::scoped_lock lock(status_mutex_);
    place = place_;
    lifecycle = status_;
    bundle = bundle_;
    config = config_status_;
  }
  const monitor::Monitor::Counts counts = monitor_->counts();
  const sync::PackageQueue::Counts queue = queue_->counts();
  const source::SourceCounters from = source_->counters();
  Json events = Json::MakeArray();
  for (const pipeline::EventSummary& event : lifecycle.events) events.Append(ToJson(event));
  Json transitions = Json::MakeArray();
  for (const auto& transition : lifecycle.transitions) {
    transitions.Append(pipeline::ToJson(transition));
  }
  const Json adaptation = lifecycle.adaptation_sha256 ? Json(*lifecycle.adaptation_sha256) : Json();
  const Json proposed =
      lifecycle.proposed
          ? Json::MakeObject({{"name", lifecycle.proposed->name},
                              {"adaptation_sha256", lifecycle.proposed->adaptation_sha256}})
          : Json();
  Json status =
      Json::MakeObject({{"device_id", device_id_},
                        {"name", config_.name},
                        {"running", is_running},
                        {"written_at", base::FormatTime(clock_.Now())},
                        {"state", lifecycle.state},
                        {"mode", lifecycle.mode},
                        {"mode_source", mode_is_wished_ ? "server" : "configuration"},
                        {"frames", counts.frames},
                        {"fps", monitor_->Fps(clock_.Uptime())},
                        {"skipped", counts.skipped},
                        {"dropped", from.overflow},
                        {"source_restarts", from.restarts},
                        {"source_stalls", from.stalls},
                        {"bundle", Json::MakeObject({{"name", bundle->manifest.name},
                                                     {"version", bundle->manifest.version},
                                                     {"bundle", bundle->bundle}})},
                        {"adaptation", Json::MakeObject({{"hypothesis", lifecycle.hypothesis},
                                                         {"challenger", lifecycle.challenger},
                                                         {"adaptation_sha256", adaptation},
                                                         {"revision", lifecycle.revision}})},
                        {"proposed", proposed},
                        {"awaits", lifecycle.awaits ? Json(*lifecycle.awaits) : Json()},
                        {"transitions", std::move(transitions)},
                        {"labels_applied", lifecycle.labels_applied},
                        {"adaptations", lifecycle.adaptations},
                        {"rollbacks", lifecycle.rollbacks},
                        {"escalations", lifecycle.escalations},
                        {"swap_gap_ms", lifecycle.swap_gap_ms},
                        {"drift", pipeline::ToJson(lifecycle.drift)},
                        {"events", std::move(events)},
                        {"queue", Json::MakeObject({{"waiting", queue.waiting},
                                                    {"waiting_bytes", queue.waiting_bytes},
                                                    {"made", queue.made},
                                                    {"dead", queue.dead},
                                                    {"evicted", queue.evicted_total()}})}});
  status.Set("config", Json::MakeObject({{"sha256", config.sha256},
                                         {"loaded_at", base::FormatTime(config.loaded_at)},
                                         {"last_error", config.last_error}}));
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
  Json log = log_->Describe();
  log.Set("not_taken_pictures", rings_.pictures_not_taken.load());
  status.Set("log", std::move(log));
  status.Set("log_dropped", counts.log_dropped);
  status.Set("not_watched", rings_.not_watched.load());
  if (place) {
    status.Set("location", Json::MakeObject({{"latitude", place->latitude},
                                             {"longitude", place->longitude},
                                             {"accuracy_m", place->accuracy_m},
                                             {"age_ms", place->age_ms},
                                             {"source", place->source}}));
  } else {
    status.Set("location", Json());
  }
  // Read by people and scripts only, so whole but not synced: a rename is enough.
  const std::string text = status.WritePretty() + "\n";
  const std::string temporary = layout_.status + ".new";
  auto file = fs_.Create(temporary, base::FileSystem::Mode::kTruncate);
  if (!file.ok() || !(*file)->Append(base::AsBytes(text)).ok() || !(*file)->Close().ok()) return;
  static_cast<void>(fs_.Rename(temporary, layout_.status).ok());
}

Status Agent::Run(Signals& signals) {
  logger_.Info(StrCat(config_.name, " (", device_id_, ") runs ", bundle_->manifest.name, " ",
                      bundle_->manifest.version, ", ", lifecycle_->status().mode));
  // The frame thread first: the others begin with files to write.
  std::thread frames(&Agent::FrameLoop, this);
  std::thread control(&Agent::ControlLoop, this);
  std::thread network;
  if (client_ != nullptr) network = std::thread(&Agent::NetworkLoop, this);
  base::Duration next = clock_.Uptime();
  base::Duration next_heap = next + 2 * kSecond;  // A start frees most of what it takes.
  bool is_starting = true;
  next_pictures_ = next + newest_.sync.interval;
  while (!signals.stop && !frames_done_) {
    if (signals.reload.exchange(false)) Reload();
    TakeLog();
    const base::Duration now = clock_.Uptime();
    if (now >= next) {
      next = now + kSecond;
      FlushLog();
      Locate();
      const bool is_full = log_->has_package() && now >= no_pictures_before_;
      if (is_full || now >= next_pictures_) SendPictures();
      WriteStatus(true);
    }
    if (now >= next_heap) {
      next_heap = now + kHeapEvery;
      GiveBackHeap();
      if (std::exchange(is_starting, false)) ForgetUnusedCode();
    }
    exports_->Tick(now, [this] { return LookAtMetrics(); });
    clock_.SleepUntil(now + base::Duration{50});
  }
  stopping_ = true;
  frames.join();
  control.join();
  TakeLog();
  SendPictures();
  FlushLog();
  exports_->Last([this] { return LookAtMetrics(); });
  const Status closed = log_->Close();
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

}  // namespace agent
