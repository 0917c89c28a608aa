#include "agent/frame_loop.h"

#include <utility>

namespace agent {

namespace drift = tinylcm::drift;
namespace pipeline = tinylcm::pipeline;
namespace source = tinylcm::source;

namespace {

constexpr base::Duration kWarnEvery{1'000};

std::size_t BytesOf(const source::Frame& frame) {
  return frame.picture.size() + frame.row.size() * sizeof(float);
}

}  // namespace

void FrameRings::GiveBack(pipeline::Seen& used) {
  if (used.signal == drift::DriftSignal::kDrift) alarms.fetch_sub(1, std::memory_order_release);
  const std::size_t bytes = BytesOf(used.frame);
  if (bytes == 0) return;
  seen_bytes.fetch_sub(bytes, std::memory_order_relaxed);
  if (source::Frame* const slot = returned.Slot()) {
    *slot = std::move(used.frame);
    returned.Give();
  }
  used.frame = {};
}

bool FrameLoop::Step() {
  FrameRings& rings = *parts_.rings;
  source::Source& source = *parts_.source;
  rings.returned.Take([&](source::Frame& frame) { source.Recycle(std::move(frame)); });
  auto next = source.Next();
  if (!next.ok()) {
    Skipped(next.error());
    return true;
  }
  if (!next->has_value()) return !source.ended();
  source::Frame& frame = **next;

  if (alarm_) HandOnAlarm();
  pipeline::Seen* const slot = rings.seen.Slot();
  pipeline::Seen& seen = slot != nullptr ? *slot : spare_;
  const base::Status answered = parts_.path->Answer(frame, seen);
  if (!answered.ok()) {
    if (!pipeline::IsNotYet(answered.error())) Skipped(answered.error());
    source.Recycle(std::move(frame));
    return true;
  }
  if (!has_answered_) {
    has_answered_ = true;
    parts_.logger->Info("the first frame is answered");
  }
  parts_.monitor->Answered({.label = seen.prediction.label,
                            .confidence = seen.prediction.confidence,
                            .distance = seen.prediction.anchor_distance,
                            .total_us = seen.total_us,
                            .decode_us = seen.decode_us,
                            .model_us = seen.model_us,
                            .classify_us = seen.classify_us});
  Log(seen, frame);

  const bool is_alarm = seen.signal == drift::DriftSignal::kDrift;
  if (is_alarm && (slot != nullptr || !alarm_)) {
    rings.alarms.fetch_add(1, std::memory_order_relaxed);
  }
  if (slot != nullptr) {
    HandOn(seen, frame);
    rings.seen.Give();
    if (is_alarm) rings.seen.Wake();
  } else if (is_alarm && !alarm_) {
    HandOn(spare_, frame);
    alarm_ = std::exchange(spare_, {});
  } else {
    rings.not_watched.fetch_add(1, std::memory_order_relaxed);
  }
  source.Recycle(std::move(frame));
  return true;
}

void FrameLoop::Log(const pipeline::Seen& seen, const source::Frame& frame) {
  FrameRings& rings = *parts_.rings;
  tinylcm::datalog::Record record;
  record.index = seen.index;
  record.adaptation = seen.adaptation;
  record.time = seen.time;
  record.frame_number = seen.frame_number;
  record.bundle = seen.bundle;
  record.label = seen.prediction.label;
  record.signal = seen.signal;
  record.confidence = seen.prediction.confidence;
  record.distance = seen.prediction.anchor_distance;
  record.total_us = static_cast<float>(seen.total_us);
  record.decode_us = static_cast<float>(seen.decode_us);
  record.model_us = static_cast<float>(seen.model_us);
  record.classify_us = static_cast<float>(seen.classify_us);
  if (options_.log_every > 0 && seen.index % options_.log_every == 0) {
    if (tinylcm::datalog::Record* const slot = rings.records.Slot()) {
      *slot = record;
      rings.records.Give();
    } else {
      parts_.monitor->LogDropped(1);
    }
  }
  if (frame.picture.empty() || options_.images.is_off()) return;
  const auto reason = sampler_.Wants(record);
  if (!reason || !rings.takes_pictures.load(std::memory_order_relaxed)) return;
  if (LoggedPicture* const slot = rings.pictures.Slot()) {
    slot->record = record;
    slot->reason = *reason;
    slot->bytes.assign(frame.picture.begin(), frame.picture.end());
    slot->format = frame.format;
    slot->width = frame.width;
    slot->height = frame.height;
    rings.pictures.Give();
  } else {
    rings.pictures_not_taken.fetch_add(1, std::memory_order_relaxed);
  }
}

// The frame goes along where it is wanted and there is room for it.
void FrameLoop::HandOn(pipeline::Seen& seen, source::Frame& frame) {
  if (parts_.rings->alarms.load(std::memory_order_acquire) == 0 && !parts_.wants_frames()) return;
  const std::size_t bytes = BytesOf(frame);
  std::atomic<std::size_t>& on_the_way = parts_.rings->seen_bytes;
  const std::size_t before = on_the_way.load(std::memory_order_relaxed);
  if (before > 0 && before + bytes > FrameRings::kSeenBytesMax) {
    parts_.rings->not_watched.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  on_the_way.fetch_add(bytes, std::memory_order_relaxed);
  std::swap(seen.frame, frame);
}

bool FrameLoop::HandOnAlarm() {
  if (!alarm_) return true;
  FrameRings& rings = *parts_.rings;
  pipeline::Seen* const slot = rings.seen.Slot();
  if (slot == nullptr) return false;
  std::swap(*slot, *alarm_);
  alarm_.reset();
  rings.seen.Give();
  rings.seen.Wake();
  return true;
}

void FrameLoop::Skipped(const base::Error& error) {
  parts_.monitor->Skipped();
  const base::Duration now = parts_.clock->Uptime();
  if (last_warning_ && now - *last_warning_ < kWarnEvery) return;
  last_warning_ = now;
  parts_.logger->Warning("skipped: " + error.message);
}

}  // namespace agent
