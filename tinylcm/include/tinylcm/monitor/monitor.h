// Monitor: counts what the device does and rolls it up into the figures of a metrics package.

#pragma once

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "protocol/metrics.h"
#include "tinylcm/monitor/latency_sketch.h"

namespace tinylcm::monitor {

// One answered frame. Durations in microseconds.
struct FrameFigures {
  std::uint16_t label = 0;  // As answered; one beyond the classes counts as "unknown".
  float confidence = 0.0f;
  float distance = 0.0f;
  double total_us = 0.0;
  double decode_us = 0.0;
  double model_us = 0.0;
  double classify_us = 0.0;
};

// What the operating system says of this process and machine.
struct ProcessFigures {
  std::uint64_t rss_bytes = 0;
  double cpu_seconds = 0.0;
  std::optional<double> temperature_c = std::nullopt;
};

// Implemented by platform/procfs.
ProcessFigures ReadProcessFigures();

// May be used from several threads; the frame thread holds the lock for some tens of nanoseconds.
class Monitor {
 public:
  Monitor(std::vector<std::string> labels, base::Duration now);

  void Answered(const FrameFigures& figures);
  void Skipped();
  // Another bundle answers from now on; its classes are counted from zero.
  void SetLabels(std::vector<std::string> labels);
  void LogDropped(std::uint64_t count);

  // The figures since the last call (window) and since the start; begins a new window.
  protocol::DeviceMetrics TakeWindow(base::Time at, base::Duration now,
                                     const ProcessFigures& process);

  struct Counts {
    std::uint64_t frames = 0;
    std::uint64_t skipped = 0;
    std::uint64_t log_dropped = 0;
  };
  Counts counts() const;
  // Frames a second, over the last window and what came since.
  double Fps(base::Duration now) const;

 private:
  struct Window {
    base::Duration since{0};
    std::uint64_t frames = 0;
    double confidence = 0.0;
    double distance = 0.0;
    LatencySketch total, decode, model, classify;
    std::vector<std::uint64_t> classes;
    double cpu_seconds = 0.0;
  };

  mutable std::mutex mutex_;
  std::vector<std::string> labels_;
  Counts counts_;
  Window window_;
};

}  // namespace tinylcm::monitor
