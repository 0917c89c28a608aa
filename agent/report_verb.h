// `tinylcm report`: the newest drift events of a device, explained to a person.

#pragma once

#include "base/command_line.h"

namespace agent {

void AddReport(base::CommandLine& line);

}  // namespace agent
