// The verbs of `tinylcm` that look at or act for one device: run, enroll, status, queue.
// Each takes the agent's configuration file.

#pragma once

#include "base/command_line.h"

namespace agent {

void AddRun(base::CommandLine& line);
void AddEnroll(base::CommandLine& line);
void AddStatus(base::CommandLine& line);
void AddQueue(base::CommandLine& line);

}  // namespace agent
