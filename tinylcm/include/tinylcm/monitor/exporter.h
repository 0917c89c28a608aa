// Exporters: where a device's figures go besides the metrics package.
//
//   Monitor::Look ─▶ snapshot ─▶ JSON file    the newest figures, replaced by rename
//                             ├▶ CSV file     a line each time, for spreadsheets
//                             ├▶ Prometheus   text on a local socket (monitor/metrics_socket.h)
//                             └▶ callback     of whoever embeds the library
//
// What is not known is left out (null, an empty field, no sample), never written as 0.

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/file_system.h"
#include "base/result.h"
#include "tinylcm/monitor/monitor.h"

namespace tinylcm::monitor {

// Not thread-safe; one thread calls Export, about once a minute.
class Exporter {
 public:
  virtual ~Exporter() = default;
  virtual base::Status Export(const MetricsSnapshot& snapshot) = 0;
};

// Replaces the file whole, so that a reader never sees half of it. `fs` must outlive it.
std::unique_ptr<Exporter> MakeJsonExporter(base::FileSystem& fs, std::string path);

// Appends a line, under a header where the file is new. Beyond `bytes_max` the file becomes
// FILE.1, whose predecessor goes, so the two take at most twice that. A file with another header
// (of another version) is set aside the same way.
std::unique_ptr<Exporter> MakeCsvExporter(base::FileSystem& fs, std::string path,
                                          std::uint64_t bytes_max = 4u << 20);

std::unique_ptr<Exporter> MakeCallbackExporter(
    std::function<void(const MetricsSnapshot& snapshot)> callback);

// Prometheus text format 0.0.4. Names begin with "tinylcm_"; what counts since the start ends in
// _total, seconds and bytes are plain. Latency is a summary: its quantiles are the window's, its
// sum and count the start's.
std::string WritePrometheus(const MetricsSnapshot& snapshot);

}  // namespace tinylcm::monitor
