// `tinylcm run-length`: the run length a detector's setting gives, or the limit for a run length.

#pragma once

#include "base/command_line.h"

namespace agent {

void AddRunLength(base::CommandLine& line);

}  // namespace agent
