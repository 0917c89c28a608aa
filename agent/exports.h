// Exports: hands the device's figures to whoever on this machine asked for them in "metrics": a
// JSON file and a CSV file once a minute, the Prometheus text whenever somebody asks.

#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "agent/config.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/result.h"
#include "tinylcm/monitor/exporter.h"
#include "tinylcm/monitor/metrics_socket.h"

namespace agent {

// Not thread-safe: the main thread's.
class Exports {
 public:
  static constexpr base::Duration kEvery{60'000};

  // `fs` and `logger` must outlive it. An Error where the socket cannot be opened.
  static base::Result<Exports> Open(const MetricsConfig& config, base::FileSystem& fs,
                                    base::Logger& logger);

  // Some 50 ms apart. `look` is called only when somebody wants the figures. A file that cannot be
  // written is logged and tried again a minute later.
  void Tick(base::Duration now, const std::function<tinylcm::monitor::MetricsSnapshot()>& look);
  // What is to be written at the end, whatever the minute.
  void Last(const std::function<tinylcm::monitor::MetricsSnapshot()>& look);

 private:
  explicit Exports(base::Logger& logger) : logger_(&logger) {}

  base::Logger* logger_;
  std::vector<std::unique_ptr<tinylcm::monitor::Exporter>> exporters_;
  std::unique_ptr<tinylcm::monitor::MetricsSocket> socket_;
  std::optional<base::Duration> next_;
};

}  // namespace agent
