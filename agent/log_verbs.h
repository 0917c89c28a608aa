// `tinylcm log`: reads the log of predictions, beside a running agent too. `tinylcm erase`: removes
// what a device has kept of what it saw.

#pragma once

#include "base/command_line.h"

namespace agent {

void AddLog(base::CommandLine& line);
void AddErase(base::CommandLine& line);

}  // namespace agent
