#include "tinysphere/rollout/rollout.h"

#include <array>
#include <utility>

namespace tinysphere::rollout {
namespace {

constexpr std::array<std::pair<EventKind, const char*>, 9> kEventNames = {{
    {EventKind::kIncluded, "included"},
    {EventKind::kTold, "told"},
    {EventKind::kReport, "report"},
    {EventKind::kFailed, "failed"},
    {EventKind::kPaused, "paused"},
    {EventKind::kResumed, "resumed"},
    {EventKind::kHalted, "halted"},
    {EventKind::kSuperseded, "superseded"},
    {EventKind::kGone, "gone"},
}};

bool IsOver(RolloutState state) {
  return state == RolloutState::kHalted || state == RolloutState::kDone ||
         state == RolloutState::kRolledBack;
}

void Move(DeviceProgress& device, DeviceState state, const Event& event) {
  device = {.state = state, .at = event.at, .detail = event.detail};
}

// A signed report moves a device whatever the rollout's state: what runs, runs. A device that ran
// the bundle and now reports another went back by itself, which is a failure of this rollout.
void TakeReport(std::string_view bundle, const Event& event, DeviceProgress& device) {
  if (device.state == DeviceState::kSkipped) return;
  if (event.bundle == bundle) {
    if (device.state != DeviceState::kRunning) Move(device, DeviceState::kRunning, event);
    return;
  }
  if (device.state != DeviceState::kRunning) return;
  Move(device, DeviceState::kFailed, event);
  if (device.detail.empty()) device.detail = "went back to " + event.bundle.substr(0, 12);
}

void TakeDeviceEvent(std::string_view bundle, const Event& event, Progress& progress) {
  const auto found = progress.devices.find(event.device_id);
  if (found == progress.devices.end()) return;
  DeviceProgress& device = found->second;
  switch (event.kind) {
    case EventKind::kTold:
      if (device.state == DeviceState::kPending) Move(device, DeviceState::kTold, event);
      break;
    case EventKind::kReport:
      TakeReport(bundle, event, device);
      break;
    case EventKind::kFailed:
      if (device.state != DeviceState::kSkipped) Move(device, DeviceState::kFailed, event);
      break;
    case EventKind::kSuperseded:
    case EventKind::kGone:
      if (device.state == DeviceState::kPending || device.state == DeviceState::kTold) {
        Move(device, DeviceState::kSkipped, event);
      }
      break;
    default:
      break;
  }
}

// Halting leaves those that have not swapped where they are.
void Halt(const Event& event, Progress& progress) {
  progress.state = RolloutState::kHalted;
  for (auto& [id, device] : progress.devices) {
    if (device.state == DeviceState::kPending || device.state == DeviceState::kTold) {
      Move(device, DeviceState::kSkipped, event);
      if (device.detail.empty()) device.detail = "halted";
    }
  }
}

}  // namespace

const char* Name(RolloutState state) {
  switch (state) {
    case RolloutState::kRunning:
      return "running";
    case RolloutState::kPaused:
      return "paused";
    case RolloutState::kHalted:
      return "halted";
    case RolloutState::kDone:
      return "done";
    case RolloutState::kRolledBack:
      return "rolled_back";
  }
  return "";
}

const char* Name(DeviceState state) {
  switch (state) {
    case DeviceState::kPending:
      return "pending";
    case DeviceState::kTold:
      return "told";
    case DeviceState::kRunning:
      return "running";
    case DeviceState::kFailed:
      return "failed";
    case DeviceState::kSkipped:
      return "skipped";
  }
  return "";
}

const char* Name(EventKind kind) {
  for (const auto& [value, name] : kEventNames) {
    if (value == kind) return name;
  }
  return "";
}

base::Result<RolloutState> ParseRolloutState(std::string_view name) {
  for (const RolloutState state :
       {RolloutState::kRunning, RolloutState::kPaused, RolloutState::kHalted, RolloutState::kDone,
        RolloutState::kRolledBack}) {
    if (name == Name(state)) return state;
  }
  return base::Error{base::ErrorCode::kCorrupt,
                     "rollout: no state is called \"" + std::string(name) + "\""};
}

base::Result<DeviceState> ParseDeviceState(std::string_view name) {
  for (const DeviceState state : {DeviceState::kPending, DeviceState::kTold, DeviceState::kRunning,
                                  DeviceState::kFailed, DeviceState::kSkipped}) {
    if (name == Name(state)) return state;
  }
  return base::Error{base::ErrorCode::kCorrupt,
                     "rollout: no device state is called \"" + std::string(name) + "\""};
}

base::Result<EventKind> ParseEventKind(std::string_view name) {
  for (const auto& [value, text] : kEventNames) {
    if (name == text) return value;
  }
  return base::Error{base::ErrorCode::kCorrupt,
                     "rollout log: no event is called \"" + std::string(name) + "\""};
}

Counts Progress::counts() const {
  Counts counts;
  for (const auto& [id, device] : devices) {
    counts.total += 1;
    switch (device.state) {
      case DeviceState::kPending:
        counts.pending += 1;
        break;
      case DeviceState::kTold:
        counts.told += 1;
        break;
      case DeviceState::kRunning:
        counts.running += 1;
        break;
      case DeviceState::kFailed:
        counts.failed += 1;
        break;
      case DeviceState::kSkipped:
        counts.skipped += 1;
        break;
    }
  }
  return counts;
}

bool Offers(RolloutState rollout, DeviceState device) {
  switch (device) {
    case DeviceState::kPending:
      return rollout == RolloutState::kRunning;
    case DeviceState::kTold:
      return rollout == RolloutState::kRunning || rollout == RolloutState::kPaused;
    case DeviceState::kRunning:
      return true;
    case DeviceState::kFailed:
    case DeviceState::kSkipped:
      return false;
  }
  return false;
}

bool Progress::Offers(const std::string& device_id) const {
  const auto found = devices.find(device_id);
  return found != devices.end() && rollout::Offers(state, found->second.state);
}

Progress Replay(std::string_view bundle, std::span<const Event> log) {
  Progress progress;
  for (const Event& event : log) {
    switch (event.kind) {
      case EventKind::kIncluded:
        progress.devices.try_emplace(
            event.device_id,
            DeviceProgress{.state = DeviceState::kPending, .at = event.at, .detail = event.detail});
        break;
      case EventKind::kPaused:
        if (progress.state == RolloutState::kRunning) progress.state = RolloutState::kPaused;
        break;
      case EventKind::kResumed:
        if (progress.state == RolloutState::kPaused) progress.state = RolloutState::kRunning;
        break;
      case EventKind::kHalted:
        if (!IsOver(progress.state)) Halt(event, progress);
        break;
      case EventKind::kTold:
      case EventKind::kReport:
      case EventKind::kFailed:
      case EventKind::kSuperseded:
      case EventKind::kGone:
        TakeDeviceEvent(bundle, event, progress);
        break;
    }
  }
  // Done is no event: it is what a rollout is called when nobody is left to wait for. A device that
  // failed is not waited for: it is counted, its timeline has an alert, and what it takes is
  // another rollout.
  if (!IsOver(progress.state)) {
    const Counts counts = progress.counts();
    if (counts.total > 0 && counts.pending + counts.told == 0) {
      progress.state = RolloutState::kDone;
    }
  }
  return progress;
}

}  // namespace tinysphere::rollout
