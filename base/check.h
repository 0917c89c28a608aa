// CHECK: stops the program on a bug, in release builds too. A stopped agent is restarted and rolls
// back; a wrong one poisons its own model in silence. Never for bad input: that is a Result.

#pragma once

namespace base {

[[noreturn]] void CheckFailed(const char* condition, const char* file, int line);

}  // namespace base

#define CHECK(condition) \
  ((condition) ? static_cast<void>(0) : ::base::CheckFailed(#condition, __FILE__, __LINE__))
