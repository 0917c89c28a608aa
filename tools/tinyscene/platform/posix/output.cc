#include "tools/tinyscene/platform/posix/output.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "base/text.h"

namespace tinyscene {
namespace {

using base::Error;
using base::ErrorCode;
using base::StrCat;

volatile std::sig_atomic_t stop_requested = 0;

extern "C" void NoteStop(int) { stop_requested = 1; }

}  // namespace

void TakeSignals() {
  struct sigaction action{};
  action.sa_handler = SIG_IGN;
  sigaction(SIGPIPE, &action, nullptr);
  action.sa_handler = NoteStop;  // Without SA_RESTART: waiting calls return.
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
}

bool StopRequested() { return stop_requested != 0; }

base::Result<std::unique_ptr<Output>> Output::Open(const Options& options) {
  const bool is_stdout = options.path == "-";
  const int fd = is_stdout
                     ? STDOUT_FILENO
                     : open(options.path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) {
    return Error{
        errno == ENOENT || errno == EISDIR ? ErrorCode::kInvalidArgument : ErrorCode::kUnavailable,
        StrCat(options.path, ": ", std::strerror(errno))};
  }
  std::unique_ptr<Output> output(new Output(fd, !is_stdout));
  output->flags_before_ = fcntl(fd, F_GETFL);
  if (output->flags_before_ < 0 || fcntl(fd, F_SETFL, output->flags_before_ | O_NONBLOCK) < 0) {
    return Error{ErrorCode::kUnavailable, StrCat(options.path, ": ", std::strerror(errno))};
  }
  // Fails where this is no pipe, which is fine: a file is never behind.
  if (options.small_pipe) static_cast<void>(fcntl(fd, F_SETPIPE_SZ, 4096));
  return output;
}

Output::~Output() {
  // Standard output may be shared with a shell that does not expect it to have changed.
  static_cast<void>(fcntl(fd_, F_SETFL, flags_before_));
  if (owned_) close(fd_);
}

base::Result<Output::Written> Output::Write(base::ByteView bytes) {
  while (true) {
    const ssize_t count = write(fd_, bytes.data(), bytes.size());
    if (count >= 0) return Written{.bytes = static_cast<std::size_t>(count), .reader_gone = false};
    if (errno == EAGAIN) return Written{};
    if (errno == EPIPE) return Written{.bytes = 0, .reader_gone = true};
    if (errno == EINTR) continue;
    return Error{errno == ENOSPC ? ErrorCode::kExhausted : ErrorCode::kUnavailable,
                 StrCat("output: ", std::strerror(errno))};
  }
}

Output::Event Output::Wait(bool for_room, base::Duration timeout) {
  pollfd wanted{.fd = fd_, .events = static_cast<short>(for_room ? POLLOUT : 0), .revents = 0};
  const auto wait_ms = std::clamp<base::Duration::rep>(timeout.count(), 0, 60'000);
  if (poll(&wanted, 1, static_cast<int>(wait_ms)) <= 0) return Event::kTimeout;
  if ((wanted.revents & (POLLERR | POLLHUP)) != 0) return Event::kReaderGone;
  return Event::kWritable;
}

}  // namespace tinyscene
