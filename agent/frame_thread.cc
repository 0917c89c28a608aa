#include "agent/agent_impl.h"
#include "tinylcm/source/byte_stream.h"

namespace agent {

void Agent::FrameLoop() {
  agent::FrameLoop loop({.log_every = log_every_, .images = ImageOptionsOf(config_)},
                        {.source = source_.get(),
                         .path = path_.get(),
                         .monitor = monitor_.get(),
                         .rings = &rings_,
                         .clock = &clock_,
                         .logger = &logger_,
                         .wants_frames = [this] { return lifecycle_->wants_frames(); }});
  // A recording is in no hurry: what follows an alarm waits until the control thread has room.
  const bool can_wait = config_.source.command.empty() &&
                        (config_.source.path == "-" || source::IsPlainFile(config_.source.path));
  const auto is_collecting = [this] { return rings_.alarms > 0 || lifecycle_->wants_frames(); };
  const auto has_room = [&] { return loop.HandOnAlarm() && rings_.seen.Slot() != nullptr; };
  while (!stopping_) {
    while (can_wait && !stopping_ && is_collecting() && !has_room()) {
      clock_.SleepUntil(clock_.Uptime() + base::Duration{1});
    }
    if (!loop.Step()) break;
    loop.SetLogEvery(log_every_);
  }
  // The control thread still takes until it is told that this was all.
  while (!loop.HandOnAlarm()) clock_.SleepUntil(clock_.Uptime() + base::Duration{1});
  source_ended_ = source_->ended();
  frames_done_ = true;
  rings_.seen.Close();
}

}  // namespace agent
