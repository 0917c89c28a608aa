// The verb `validate`: judges an adaptation by people's labels. The server runs it as a child.

#pragma once

#include "base/command_line.h"

namespace agent {

void AddValidate(base::CommandLine& line);

}  // namespace agent
