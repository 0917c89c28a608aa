#include "agent/agent_impl.h"

namespace agent {

void Agent::FrameLoop() {
  std::optional<pipeline::Seen> alarm;  // Must not be lost, however busy the control thread is.
  base::Duration last_warning{-kSecond};
  const auto skipped = [&](const Error& error) {
    monitor_->Skipped();
    const base::Duration now = clock_.Uptime();
    if (now - last_warning < kSecond) return;
    last_warning = now;
    logger_.Warning("skipped: " + error.message);
  };
  while (!stopping_) {
    auto next = source_->Next();
    if (!next.ok()) {
      skipped(next.error());
      continue;
    }
    if (!next->has_value()) {
      if (source_->ended()) break;
      continue;
    }
    auto answered = path_->Process(std::move(**next));
    if (!answered.ok()) {
      skipped(answered.error());
      continue;
    }
    pipeline::Seen& seen = *answered;
    monitor_->Answered({.label = seen.prediction.label,
                        .confidence = seen.prediction.confidence,
                        .distance = seen.prediction.anchor_distance,
                        .total_us = seen.total_us,
                        .decode_us = seen.decode_us,
                        .model_us = seen.model_us,
                        .classify_us = seen.classify_us});
    if (config_.datalog_every > 0 && seen.index % config_.datalog_every == 0) {
      Line line;
      line.index = seen.index;
      line.adaptation = seen.adaptation;
      line.time = seen.time;
      line.frame_number = seen.frame_number;
      line.answer = seen.answer;
      line.confidence = seen.prediction.confidence;
      line.distance = seen.prediction.anchor_distance;
      if (!lines_.TryGive(line)) monitor_->LogDropped(1);
    }
    if (!lifecycle_->wants_frames() && seen.signal != drift::DriftSignal::kDrift) {
      seen.frame.picture.clear();
      seen.frame.row.clear();
    }
    if (alarm && seen_.TryGive(*alarm)) alarm.reset();
    const bool is_alarm = seen.signal == drift::DriftSignal::kDrift;
    if (!seen_.TryGive(seen)) {
      not_watched_.fetch_add(1);
      if (is_alarm && !alarm) alarm = std::move(seen);
    }
  }
  // The control thread still takes until it is told that this was all.
  while (alarm && !seen_.TryGive(*alarm)) {
    clock_.SleepUntil(clock_.Uptime() + base::Duration{1});
  }
  source_ended_ = source_->ended();
  frames_done_ = true;
  seen_.Close();
}

}  // namespace agent
