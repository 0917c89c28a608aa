// A folder that only its owner may look into: keys, pictures, what people said about them.

#pragma once

#include <string>

#include "base/result.h"

namespace base {

// From here on what this process makes is for its owner only (umask 077), and so is `path` itself
// (0700), made if need be. A folder that everybody may write to (/tmp) or that is another user's is
// left as it is.
Status MakePrivateFolder(const std::string& path);

}  // namespace base
