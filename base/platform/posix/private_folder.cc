#include "base/private_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/file_system.h"
#include "base/text.h"

namespace base {

Status MakePrivateFolder(const std::string& path) {
  ::umask(077);
  RETURN_IF_ERROR(SystemFileSystem().CreateDirectories(path));
  struct stat status{};
  if (::stat(path.c_str(), &status) != 0) {
    return Error{ErrorCode::kUnavailable, StrCat(path, ": stat: ", std::strerror(errno))};
  }
  const bool is_open = (status.st_mode & 077) != 0;
  const bool is_shared = (status.st_mode & S_ISVTX) != 0 || status.st_uid != ::geteuid();
  if (!is_open || is_shared) return {};
  if (::chmod(path.c_str(), 0700) != 0) {
    return Error{ErrorCode::kUnavailable, StrCat(path, ": chmod: ", std::strerror(errno))};
  }
  return {};
}

}  // namespace base
