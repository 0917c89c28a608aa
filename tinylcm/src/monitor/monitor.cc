#include "tinylcm/monitor/monitor.h"

#include <algorithm>
#include <utility>

namespace tinylcm::monitor {
namespace {

protocol::DeviceMetrics::Stage StageOf(const char* name, const LatencySketch& sketch) {
  return {name, sketch.Percentile(0.5) / 1000.0, sketch.Percentile(0.95) / 1000.0,
          sketch.Percentile(0.99) / 1000.0};
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
  window_.distance += figures.distance;
  window_.total.Add(figures.total_us);
  window_.decode.Add(figures.decode_us);
  window_.model.Add(figures.model_us);
  window_.classify.Add(figures.classify_us);
  ++window_.classes[std::min<std::size_t>(figures.label, labels_.size())];
}

void Monitor::Skipped() {
  const std::scoped_lock lock(mutex_);
  ++counts_.skipped;
}

void Monitor::SetLabels(std::vector<std::string> labels) {
  const std::scoped_lock lock(mutex_);
  labels_ = std::move(labels);
  window_.classes.assign(labels_.size() + 1, 0);
}

void Monitor::LogDropped(std::uint64_t count) {
  const std::scoped_lock lock(mutex_);
  counts_.log_dropped += count;
}

protocol::DeviceMetrics Monitor::TakeWindow(base::Time at, base::Duration now,
                                            const ProcessFigures& process) {
  const std::scoped_lock lock(mutex_);
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

  Window next;
  next.since = now;
  next.classes.assign(labels_.size() + 1, 0);
  next.cpu_seconds = process.cpu_seconds;
  window_ = std::move(next);
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
