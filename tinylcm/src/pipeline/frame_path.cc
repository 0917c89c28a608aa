#include "tinylcm/pipeline/frame_path.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace tinylcm::pipeline {

FramePath::FramePath(std::unique_ptr<Stage> first, std::uint64_t first_index)
    : swap_(std::move(first)), next_index_(first_index) {
  CHECK(swap_.current().serving != nullptr && swap_.current().monitor != nullptr);
  monitor_ = std::move(swap_.current().monitor);
}

base::Result<Seen> FramePath::Process(source::Frame frame) {
  const auto began = std::chrono::steady_clock::now();
  bool swapped = false;
  Stage& stage = swap_.Begin(&swapped);
  if (swapped && stage.monitor != nullptr) {
    const std::scoped_lock lock(monitor_mutex_);
    std::swap(monitor_, stage.monitor);
  }

  RETURN_IF_ERROR(stage.serving->Infer(frame, inference_));
  Seen seen;
  seen.index = next_index_.fetch_add(1);
  seen.revision = stage.serving->revision();
  seen.adaptation = stage.serving->adaptation().is_none() ? 0 : seen.revision;
  seen.time = frame.time;
  seen.frame_number = inference_.frame_number;
  seen.prediction = inference_.prediction;
  const auto& labels = stage.serving->bundle().manifest.labels;
  seen.answer = seen.prediction.label < labels.size() ? labels[seen.prediction.label] : "unknown";
  {
    const std::scoped_lock lock(monitor_mutex_);
    seen.signal = monitor_->Observe(seen.index, seen.prediction.nearest,
                                    seen.prediction.anchor_distance, inference_.channels);
  }
  seen.decode_us = inference_.decode_us;
  seen.model_us = inference_.model_us;
  seen.classify_us = inference_.classify_us;
  seen.total_us =
      std::chrono::duration<double, std::micro>(std::chrono::steady_clock::now() - began).count();
  if (swapped) {
    swap_gap_ms_.store(std::max(0.0, seen.total_us - usual_us_) / 1000.0);
  } else {
    usual_us_ += (seen.total_us - usual_us_) * (usual_us_ == 0.0 ? 1.0 : 0.05);
  }
  seen.frame = std::move(frame);
  return seen;
}

std::optional<drift::DriftExplanation> FramePath::Explanation() const {
  const std::scoped_lock lock(monitor_mutex_);
  return monitor_->explanation();
}

drift::DriftMonitor::Phase FramePath::drift_phase() const {
  const std::scoped_lock lock(monitor_mutex_);
  return monitor_->phase();
}

void FramePath::Rebaseline() {
  const std::scoped_lock lock(monitor_mutex_);
  monitor_->Rebaseline();
}

base::Json FramePath::SaveDriftState() const {
  const std::scoped_lock lock(monitor_mutex_);
  return monitor_->SaveState();
}

}  // namespace tinylcm::pipeline
