// `tinylcm config`: what a configuration means, and its schema.

#pragma once

#include "base/command_line.h"

namespace agent {

void AddConfig(base::CommandLine& line);

}  // namespace agent
