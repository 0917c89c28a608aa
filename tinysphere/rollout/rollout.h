// Rollout: brings one bundle to a set of devices, as a pure function of its event log.
//
// Picture a clerk with a list of names. What happened is written down, a line each, and never
// struck out; how the rollout stands is found by reading the lines from the top. A device is done
// only when it has said, signed, that it runs the bundle; having been told counts for nothing.
//
// Not for deciding what may be installed: the publisher's signature does that, on the device.

#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace tinysphere::rollout {

enum class RolloutState { kRunning, kPaused, kHalted, kDone, kRolledBack };
enum class DeviceState { kPending, kTold, kRunning, kFailed, kSkipped };

const char* Name(RolloutState state);
const char* Name(DeviceState state);
base::Result<RolloutState> ParseRolloutState(std::string_view name);
base::Result<DeviceState> ParseDeviceState(std::string_view name);

// True if a device should be handed the rollout's bundle as its target now: while it runs, every
// device that is part of it; while it is paused, only those that were told already; those that run
// the bundle, whatever the rollout's state.
bool Offers(RolloutState rollout, DeviceState device);

enum class EventKind {
  kIncluded,  // The device is part of it. Only before anything else is logged about the device.
  kTold,      // The device was handed a desired state that names the bundle.
  kReport,    // The device said, signed, what it runs; `bundle` is that, `detail` why if it failed.
  kFailed,    // The device said, signed, that it could not install; `detail` why.
  kPaused,
  kResumed,
  kHalted,
  kSuperseded,  // A newer rollout took the device over.
  kGone,        // The device was revoked or decommissioned; `detail` which.
};

const char* Name(EventKind kind);
base::Result<EventKind> ParseEventKind(std::string_view name);

struct Event {
  base::Time at{};
  EventKind kind = EventKind::kIncluded;
  std::string device_id;  // Empty for pause, resume and halt.
  std::string bundle;     // For kReport.
  std::string detail;
};

struct DeviceProgress {
  DeviceState state = DeviceState::kPending;
  base::Time at{};
  std::string detail;
};

struct Counts {
  std::size_t total = 0;
  std::size_t pending = 0;
  std::size_t told = 0;
  std::size_t running = 0;
  std::size_t failed = 0;
  std::size_t skipped = 0;
};

struct Progress {
  RolloutState state = RolloutState::kRunning;
  std::map<std::string, DeviceProgress> devices;

  Counts counts() const;
  bool Offers(const std::string& device_id) const;
};

// How a rollout of `bundle` stands after `log`, in the order it was written. Lines that cannot
// follow from what stands (a report of a device that is no part of it) change nothing.
Progress Replay(std::string_view bundle, std::span<const Event> log);

}  // namespace tinysphere::rollout
