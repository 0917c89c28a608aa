// Monitor: counts what the device does and rolls it up into the figures of a metrics package and of
// whoever else looks (monitor/exporter.h).
//
//   every frame ─▶ window (sketches, histogram, class mix) ─TakeWindow─▶ metrics package, a new one
//             └──▶ totals since the start                  ─Look───────▶ exporters; goes on

#pragma once

#include <array>
#include <cstdint>
#include <map>
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
// What it does not say is left out, never guessed.
struct ProcessFigures {
  std::uint64_t rss_bytes = 0;
  std::optional<std::uint64_t> pss_bytes = std::nullopt;
  double cpu_seconds = 0.0;
  std::optional<double> temperature_c = std::nullopt;  // The hottest zone.
  std::optional<bool> throttled = std::nullopt;
  std::optional<bool> throttled_since_boot = std::nullopt;
  std::optional<bool> undervoltage = std::nullopt;
  std::optional<protocol::DeviceMetrics::Link> link = std::nullopt;  // Without last_contact.
};

// Implemented by platform/procfs. `root`: what /proc and /sys lie in, for tests. Some 100 us: not
// for the frame thread.
ProcessFigures ReadProcessFigures(const std::string& root = "");

// What exporters are given: the current window, which goes on, and what was counted since the
// start.
struct MetricsSnapshot {
  protocol::DeviceMetrics metrics;
  struct StageTotal {
    std::string name;
    double seconds = 0.0;
  };
  std::vector<StageTotal> stages;  // "total" first; each over metrics.frames frames.
  std::vector<protocol::DeviceMetrics::ClassCount> answers;  // Since the start, by label.
};

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
  // The same without beginning a new window, and the totals.
  MetricsSnapshot Look(base::Time at, base::Duration now, const ProcessFigures& process) const;

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
    std::array<std::uint64_t, protocol::DeviceMetrics::kConfidenceBins> confidences{};
    LatencySketch total, decode, model, classify;
    std::vector<std::uint64_t> classes;
    double cpu_seconds = 0.0;
  };

  protocol::DeviceMetrics FiguresLocked(base::Time at, base::Duration now,
                                        const ProcessFigures& process) const;
  void FoldClassesLocked();

  mutable std::mutex mutex_;
  std::vector<std::string> labels_;
  std::map<std::string, std::uint64_t> answers_;  // Of windows that are over.
  std::array<double, 4> stage_us_{};  // Since the start: total, decode, model, classify.
  Counts counts_;
  Window window_;
};

}  // namespace tinylcm::monitor
