#include <thread>

#include "agent/agent_impl.h"

namespace agent {

void Agent::WriteLines() {
  rings_.records.Take([&](const datalog::Record& record) {
    if (!datalog_->knows_bundle(record.bundle)) {
      if (const auto named = path_->BundleOf(record.bundle)) {
        datalog_->SetBundle(
            {.generation = record.bundle, .bundle = named->bundle, .labels = named->labels});
      }
    }
    if (!datalog_->Append(record)) monitor_->LogDropped(1);
  });
  const Status flushed = datalog_->Flush();
  if (!flushed.ok()) logger_.Error("datalog: " + flushed.error().message);
}

void Agent::WriteStatus(bool is_running) {
  pipeline::LifecycleStatus lifecycle;
  std::shared_ptr<const model::ModelBundle> bundle;
  ConfigStatus config;
  {
    const std::scoped_lock lock(status_mutex_);
    lifecycle = status_;
    bundle = bundle_;
    config = config_status_;
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
  std::thread control(&Agent::ControlLoop, this);
  std::thread network;
  if (client_ != nullptr) network = std::thread(&Agent::NetworkLoop, this);
  std::thread frames(&Agent::FrameLoop, this);
  base::Duration next = clock_.Uptime();
  while (!signals.stop && !frames_done_) {
    if (signals.reload.exchange(false)) Reload();
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

}  // namespace agent
