#include "agent/agent_impl.h"

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
  while (!stopping_ && loop.Step()) {
    loop.SetLogEvery(log_every_);
  }
  // The control thread still takes until it is told that this was all.
  while (!loop.HandOnAlarm()) clock_.SleepUntil(clock_.Uptime() + base::Duration{1});
  source_ended_ = source_->ended();
  frames_done_ = true;
  rings_.seen.Close();
}

}  // namespace agent
