// The verbs `export` and `import`: a whole installation from one place to another.

#pragma once

#include <string>

#include "base/result.h"
#include "tinysphere/command/installation.h"

namespace tinysphere::command {

// Beside a running server or without one. `to`: FILE.tar.zst or a folder, which must not be there
// yet. It holds the server's keys and is for its owner only.
base::Status ExportInstallation(const Place& place, const std::string& to, bool as_json);
// Into what is empty. REQUIRES: no server runs there.
base::Status ImportInstallation(const Place& place, const std::string& from, bool as_json);

}  // namespace tinysphere::command
