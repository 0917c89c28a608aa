#include "tinylcm/monitor/monitor.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace tinylcm::monitor {
namespace {

protocol::DeviceMetrics::Stage StageOf(const char* name, const LatencySketch& sketch) {
  return {name, sketch.Percentile(0.5) / 1000.0, sketch.Percentile(0.95) / 1000.0,
          sketch.Percentile(0.99) / 1000.0, sketch.Save()};
}

std::size_t BinOf(float confidence) {
  constexpr std::size_t kBins = protocol::DeviceMetrics::kConfidenceBins;
  if (!(confidence > 0.0f)) return 0;
  return std::min(kBins - 1, static_cast<std::size_t>(std::min(confidence, 1.0f) * kBins));
}

}  // namespace

Monitor::Monitor(std::vector<std::string> labels, base::Duration now) : labels_(std::move(labels)) {
  window_.since = now;
  window_.classes.assign(labels_.size() + 1, 0);
}

void Monitor::Answered(const FrameFigures& figures) {
  const std::scoped_lock lock(mutex_);
  ++counts_.frames;
  ++window_.frames;
  window_.confidence += figures.confidence;
  ++window_.confidences[BinOf(figures.confidence)];
  window_.distance += figures.distance;
  window_.total.Add(figures.total_us);
  window_.decode.Add(figures.decode_us);
  window_.model.Add(figures.model_us);
  window_.classify.Add(figures.classify_us);
  ++window_.classes[std::min<std::size_t>(figures.label, labels_.size())];
  stage_us_[0] += figures.total_us;
  stage_us_[1] += figures.decode_us;
  stage_us_[2] += figures.model_us;
  stage_us_[3] += figures.classify_us;
}

void Monitor::Skipped() {
  const std::scoped_lock lock(mutex_);
  ++counts_.skipped;
}

void Monitor::SetLabels(std::vector<std::string> labels) {
  const std::scoped_lock lock(mutex_);
  FoldClassesLocked();
  labels_ = std::move(labels);
  window_.classes.assign(labels_.size() + 1, 0);
}

void Monitor::LogDropped(std::uint64_t count) {
  const std::scoped_lock lock(mutex_);
  counts_.log_dropped += count;
}

// The window's classes are counted from zero; what was counted stays in the totals.
void Monitor::FoldClassesLocked() {
  for (std::size_t i = 0; i < window_.classes.size(); ++i) {
    if (window_.classes[i] == 0) continue;
    answers_[i < labels_.size() ? labels_[i] : std::string("unknown")] += window_.classes[i];
    window_.classes[i] = 0;
  }
}

protocol::DeviceMetrics Monitor::TakeWindow(base::Time at, base::Duration now,
                                            const ProcessFigures& process) {
  const std::scoped_lock lock(mutex_);
  protocol::DeviceMetrics metrics = FiguresLocked(at, now, process);
  FoldClassesLocked();
  Window next;
  next.since = now;
  next.classes.assign(labels_.size() + 1, 0);
  next.cpu_seconds = process.cpu_seconds;
  window_ = std::move(next);
  return metrics;
}

MetricsSnapshot Monitor::Look(base::Time at, base::Duration now,
                              const ProcessFigures& process) const {
  const std::scoped_lock lock(mutex_);
  MetricsSnapshot snapshot;
  snapshot.metrics = FiguresLocked(at, now, process);
  constexpr std::array<const char*, 4> kStages = {"total", "decode", "model", "classify"};
  for (std::size_t i = 0; i < kStages.size(); ++i) {
    snapshot.stages.push_back({kStages[i], stage_us_[i] / 1e6});
  }
  std::map<std::string, std::uint64_t> answers = answers_;
  for (const auto& entry : snapshot.metrics.class_mix) answers[entry.label] += entry.count;
  for (const auto& [label, count] : answers) snapshot.answers.push_back({label, count});
  return snapshot;
}

protocol::DeviceMetrics Monitor::FiguresLocked(base::Time at, base::Duration now,
                                               const ProcessFigures& process) const {
  protocol::DeviceMetrics metrics;
  metrics.at = at;
  const base::Duration length = std::max(base::Duration{1}, now - window_.since);
  metrics.window_ms = length.count();
  metrics.frames = counts_.frames;
  metrics.frames_window = window_.frames;
  metrics.skipped = counts_.skipped;
  metrics.log_dropped = counts_.log_dropped;
  const double seconds = static_cast<double>(length.count()) / 1000.0;
  metrics.fps = static_cast<double>(window_.frames) / seconds;
  if (window_.frames > 0) {
    const auto frames = static_cast<double>(window_.frames);
    metrics.confidence_mean = window_.confidence / frames;
    metrics.distance_mean = window_.distance / frames;
    metrics.confidence_histogram.assign(window_.confidences.begin(), window_.confidences.end());
    metrics.latency_sketch = window_.total.Save();
    metrics.latency_ms_p50 = window_.total.Percentile(0.5) / 1000.0;
    metrics.latency_ms_p95 = window_.total.Percentile(0.95) / 1000.0;
    metrics.latency_ms_p99 = window_.total.Percentile(0.99) / 1000.0;
    metrics.stages = {StageOf("decode", window_.decode), StageOf("model", window_.model),
                      StageOf("classify", window_.classify)};
    for (std::size_t i = 0; i < window_.classes.size(); ++i) {
      if (window_.classes[i] == 0) continue;
      metrics.class_mix.push_back(
          {i < labels_.size() ? labels_[i] : std::string("unknown"), window_.classes[i]});
    }
  }
  metrics.rss_bytes = process.rss_bytes;
  metrics.cpu_percent = 100.0 * std::max(0.0, process.cpu_seconds - window_.cpu_seconds) / seconds;
  metrics.temperature_c = process.temperature_c;
  metrics.pss_bytes = process.pss_bytes;
  metrics.throttled = process.throttled;
  metrics.throttled_since_boot = process.throttled_since_boot;
  metrics.undervoltage = process.undervoltage;
  metrics.link = process.link;
  return metrics;
}

Monitor::Counts Monitor::counts() const {
  const std::scoped_lock lock(mutex_);
  return counts_;
}

double Monitor::Fps(base::Duration now) const {
  const std::scoped_lock lock(mutex_);
  const auto ms = std::max<std::int64_t>(1, (now - window_.since).count());
  return 1000.0 * static_cast<double>(window_.frames) / static_cast<double>(ms);
}

}  // namespace tinylcm::monitor
