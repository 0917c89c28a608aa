// `tinylcm evaluate`: holds a detector's alarms against changes that are known, beside the dummies.

#pragma once

#include "base/command_line.h"

namespace agent {

void AddEvaluate(base::CommandLine& line);

}  // namespace agent
