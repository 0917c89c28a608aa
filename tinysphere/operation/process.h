// What the server's process takes of its machine.

#pragma once

#include <cstdint>

namespace tinysphere::operation {

struct ProcessFigures {
  std::uint64_t resident_bytes = 0;
  double cpu_seconds = 0;  // User and system, since the start.
  std::uint64_t open_files = 0;
};

}  // namespace tinysphere::operation
