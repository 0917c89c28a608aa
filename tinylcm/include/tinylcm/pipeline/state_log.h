// State log: where a device's adaptation stands and how it came there, read from what the lifecycle
// keeps on the disk. For people (`tinylcm report`); the device itself need not run.

#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "tinylcm/adapt/machine.h"

namespace tinylcm::pipeline {

struct StateLog {
  adapt::AdaptState state = adapt::AdaptState::kStable;
  std::optional<std::string> awaits;           // "labels" or "approval" of a person.
  std::string served;                          // "flat_field + none".
  std::vector<adapt::Transition> transitions;  // The last ones, oldest first.
};
// {"state", "awaits", "served", "transitions"}.
base::Json ToJson(const StateLog& log);
// {"index", "from", "to", "why"}.
base::Json ToJson(const adapt::Transition& transition);

// `folder`: the lifecycle's. nullopt where no lifecycle has written yet; an Error says what cannot
// be read.
base::Result<std::optional<StateLog>> ReadStateLog(base::FileSystem& fs, const std::string& folder);

}  // namespace tinylcm::pipeline
