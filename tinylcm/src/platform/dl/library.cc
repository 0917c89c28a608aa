#include "tinylcm/src/platform/dl/library.h"

#include <dlfcn.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "base/file_system.h"
#include "base/text.h"

namespace tinylcm::platform {

using base::Error;
using base::ErrorCode;

namespace {

#if defined(__aarch64__)
constexpr const char* kMachine = "aarch64";
#else
constexpr const char* kMachine = "x86_64";
#endif

std::vector<std::string> Places(const RuntimeLibrary& library) {
  if (const char* set = std::getenv(library.variable); set != nullptr && *set != '\0') {
    return {set};  // Whoever names one wants this one and no other.
  }
  std::vector<std::string> places;
  char program[4096];
  const ssize_t length = ::readlink("/proc/self/exe", program, sizeof program);
  if (length > 0) {
    const std::string path(program, static_cast<std::size_t>(length));
    places.push_back(base::JoinPath(base::FolderOf(path), base::StrCat("../lib/", library.file)));
  }
  // This code may be part of libtinylcm.so: then a runtime may lie beside it.
  ::Dl_info own{};
  if (::dladdr(reinterpret_cast<const void*>(&FindFunction), &own) != 0 &&
      own.dli_fname != nullptr) {
    const std::string object = own.dli_fname;
    if (object.find(".so") != std::string::npos) {
      places.push_back(base::JoinPath(base::FolderOf(object), std::string(library.file)));
    }
  }
  const char* cache = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  std::string folder;
  if (cache != nullptr && *cache != '\0') {
    folder = cache;
  } else if (home != nullptr) {
    folder = std::string(home) + "/.cache";
  }
  if (!folder.empty()) {
    places.push_back(
        base::StrCat(folder, "/tinymlops/", library.folder, "/", kMachine, "/", library.file));
  }
  return places;
}

}  // namespace

base::Result<std::string> FindLibrary(const RuntimeLibrary& library) {
  std::string tried;
  for (const std::string& place : Places(library)) {
    if (::access(place.c_str(), R_OK) == 0) return place;
    tried += (tried.empty() ? "" : ", ") + place;
  }
  return Error{ErrorCode::kUnavailable,
               base::StrCat(library.name, ": ", library.file, " is not at ", tried, "; run ",
                            library.fetch)};
}

base::Result<void*> OpenLibrary(const RuntimeLibrary& library, const std::string& path) {
  void* const opened = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) {
    return Error{ErrorCode::kUnavailable, base::StrCat(library.name, ": ", ::dlerror())};
  }
  return opened;
}

void* FindFunction(void* library, const char* name) { return ::dlsym(library, name); }

}  // namespace tinylcm::platform
