#include "agent/exports.h"

namespace agent {

namespace monitor = tinylcm::monitor;

base::Result<Exports> Exports::Open(const MetricsConfig& config, base::FileSystem& fs,
                                    base::Logger& logger) {
  Exports exports(logger);
  if (!config.json.empty())
    exports.exporters_.push_back(monitor::MakeJsonExporter(fs, config.json));
  if (!config.csv.empty()) exports.exporters_.push_back(monitor::MakeCsvExporter(fs, config.csv));
  if (!config.socket.empty()) {
    auto socket = monitor::OpenMetricsSocket(config.socket);
    if (!socket.ok()) return socket.error().Within("metrics.socket");
    exports.socket_ = std::move(socket).value();
  }
  return exports;
}

void Exports::Tick(base::Duration now, const std::function<monitor::MetricsSnapshot()>& look) {
  if (socket_ != nullptr) socket_->Serve([&] { return monitor::WritePrometheus(look()); });
  if (!next_) next_ = now + kEvery;
  if (now < *next_) return;
  next_ = now + kEvery;
  Last(look);
}

void Exports::Last(const std::function<monitor::MetricsSnapshot()>& look) {
  if (exporters_.empty()) return;
  const monitor::MetricsSnapshot snapshot = look();
  for (const auto& exporter : exporters_) {
    const base::Status exported = exporter->Export(snapshot);
    if (!exported.ok()) logger_->Warning("metrics: " + exported.error().message);
  }
}

}  // namespace agent
