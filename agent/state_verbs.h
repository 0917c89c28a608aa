// `tinylcm state ls|show|diff|rollback`: the snapshots of what was learned.

#pragma once

#include "base/command_line.h"

namespace agent {

void AddState(base::CommandLine& line);

}  // namespace agent
