#include "tinysphere/platform/posix/erase_range.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/bytes.h"
#include "base/text.h"

namespace tinysphere::posix {

namespace {

base::Error Failure(const std::string& path, const char* what) {
  return {base::ErrorCode::kUnavailable,
          base::StrCat(path, ": ", what, ": ", std::strerror(errno))};
}

base::Status Overwrite(int file, const std::string& path, std::uint64_t offset,
                       std::uint64_t bytes) {
  const base::Bytes zeros(64 * 1024);
  while (bytes > 0) {
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(bytes, zeros.size()));
    const ssize_t written = ::pwrite(file, zeros.data(), wanted, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Failure(path, "overwrite");
    offset += static_cast<std::uint64_t>(written);
    bytes -= static_cast<std::uint64_t>(written);
  }
  return {};
}

}  // namespace

base::Status EraseRange(const std::string& path, std::uint64_t offset, std::uint64_t bytes) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CLOEXEC);
  if (file < 0) return Failure(path, "open");
  base::Status erased;
  if (::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                  static_cast<off_t>(bytes)) != 0) {
    erased = errno == EOPNOTSUPP || errno == ENOSYS ? Overwrite(file, path, offset, bytes)
                                                    : Failure(path, "erase");
  }
  if (erased.ok() && ::fdatasync(file) != 0) erased = Failure(path, "sync");
  ::close(file);
  return erased;
}

}  // namespace tinysphere::posix
