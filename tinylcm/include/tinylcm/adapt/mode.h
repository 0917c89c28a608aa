// Mode: how much a device may change by itself after an alarm.

#pragma once

#include <string_view>

#include "base/result.h"

namespace tinylcm::adapt {

enum class Mode {
  kAutonomous,      // A corrected input is served before labels come; labels can veto it later.
  kServerAssisted,  // Nothing is served before a person approved it.
  kMonitoringOnly,  // Nothing is ever changed; what drifted is told and becomes the new normal.
};

const char* Name(Mode mode);  // "autonomous", "server_assisted", "monitoring_only".
base::Result<Mode> ParseMode(std::string_view name);

}  // namespace tinylcm::adapt
