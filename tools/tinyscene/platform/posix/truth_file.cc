#include "tools/tinyscene/platform/posix/truth_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstring>

#include "base/text.h"

namespace tinyscene {

using base::Error;
using base::ErrorCode;
using base::StrCat;

base::Result<std::unique_ptr<TruthFile>> TruthFile::Open(const std::string& path,
                                                         base::Duration patience) {
  const auto failed = [&path] {
    return Error{errno == ENOENT ? ErrorCode::kInvalidArgument : ErrorCode::kUnavailable,
                 StrCat("truth file ", path, ": ", std::strerror(errno))};
  };
  const int fd = open(path.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return failed();
  std::unique_ptr<TruthFile> file(new TruthFile(fd, path));

  constexpr base::Duration kStep{10};
  for (base::Duration waited{0}; flock(fd, LOCK_EX | LOCK_NB) != 0; waited += kStep) {
    if (errno != EWOULDBLOCK) return failed();
    if (waited >= patience) {
      return Error{ErrorCode::kUnavailable,
                   StrCat("truth file ", path, ": another tinyscene writes to it")};
    }
    base::SystemClock().SleepUntil(base::SystemClock().Uptime() + kStep);
  }

  std::array<char, 65536> buffer;
  while (true) {
    const ssize_t count = read(fd, buffer.data(), buffer.size());
    if (count < 0) return failed();
    if (count == 0) break;
    file->content_.append(buffer.data(), static_cast<std::size_t>(count));
  }
  const std::size_t whole = file->content_.rfind('\n') + 1;  // 0 where there is none.
  if (whole != file->content_.size()) {
    if (ftruncate(fd, static_cast<off_t>(whole)) != 0) return failed();
    file->content_.resize(whole);
  }
  return file;
}

TruthFile::~TruthFile() { close(fd_); }

base::Status TruthFile::Append(const std::string& line) {
  const ssize_t count = write(fd_, line.data(), line.size());
  if (count == static_cast<ssize_t>(line.size())) return {};
  return Error{errno == ENOSPC ? ErrorCode::kExhausted : ErrorCode::kUnavailable,
               StrCat("truth file ", path_, ": ", count < 0 ? std::strerror(errno) : "cut short")};
}

}  // namespace tinyscene
