// Erases a stretch of a file: fallocate(2) with a hole, or zeros where the file system has no
// holes.

#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"

namespace tinysphere::posix {

// Durable when it returns. The file keeps its length.
base::Status EraseRange(const std::string& path, std::uint64_t offset, std::uint64_t bytes);

}  // namespace tinysphere::posix
