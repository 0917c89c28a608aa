// `tinylcm detect`: one detector over numbers on stdin.

#pragma once

#include "base/command_line.h"

namespace agent {

void AddDetect(base::CommandLine& line);

}  // namespace agent
