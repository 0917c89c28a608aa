// `tinylcm doctor`: what is wrong on this machine, and what to do about it.

#pragma once

#include "base/command_line.h"

namespace agent {

void AddDoctor(base::CommandLine& line);

}  // namespace agent
