// A model runtime's shared library: where it may lie, and its functions by name.

#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace tinylcm::platform {

struct RuntimeLibrary {
  std::string_view name;    // "litert": begins every message.
  std::string_view file;    // "libLiteRt.so"
  const char* variable;     // "TINYLCM_LITERT": names a file, and then no other is tried.
  std::string_view folder;  // "litert-2.1.6": below the cache folder, with one per processor.
  std::string_view fetch;   // The command that brings it.
};

// Beside the program in ../lib, beside libtinylcm.so, then in the cache folder. kUnavailable naming
// the places and the command that brings it.
base::Result<std::string> FindLibrary(const RuntimeLibrary& library);

// Opens it for good: runtimes start threads and keep statics that do not like to go.
base::Result<void*> OpenLibrary(const RuntimeLibrary& library, const std::string& path);

// The address of a function, or null.
void* FindFunction(void* library, const char* name);

}  // namespace tinylcm::platform
