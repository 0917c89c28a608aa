// Commands, FIFOs, files and stdin by POSIX calls.

#include "tinylcm/source/byte_stream.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/text.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

namespace {

Error SystemError(const std::string& what) {
  const int number = errno;
  return {number == ENOENT ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
          base::StrCat(what, ": ", std::strerror(number))};
}

// Owns a descriptor.
class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  ~Descriptor() { Close(); }
  Descriptor(Descriptor&& other) noexcept : number_(std::exchange(other.number_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return number_; }
  void Close() {
    if (number_ >= 0) ::close(number_);
    number_ = -1;
  }

 private:
  int number_;
};

class DescriptorStream : public ByteStream {
 public:
  DescriptorStream(Descriptor descriptor, std::string name)
      : descriptor_(std::move(descriptor)), name_(std::move(name)) {}

  base::Result<std::size_t> Read(std::span<std::uint8_t> out, base::Duration wait) override {
    if (ended_) return std::size_t{0};
    pollfd waiting{descriptor_.get(), POLLIN, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(wait.count()));
    if (ready < 0) {
      if (errno == EINTR) return std::size_t{0};
      return SystemError(name_);
    }
    if (ready == 0) return std::size_t{0};
    const ssize_t count = ::read(descriptor_.get(), out.data(), out.size());
    if (count < 0) {
      if (errno == EINTR || errno == EAGAIN) return std::size_t{0};
      ended_ = true;
      return SystemError(name_);
    }
    if (count == 0) ended_ = true;
    return static_cast<std::size_t>(count);
  }

  bool ended() const override { return ended_; }

 protected:
  Descriptor descriptor_;

 private:
  std::string name_;
  bool ended_ = false;
};

class CommandStream final : public DescriptorStream {
 public:
  CommandStream(Descriptor descriptor, const std::string& command, pid_t child)
      : DescriptorStream(std::move(descriptor), "command \"" + command + "\""), child_(child) {}

  // Asks the whole group to end, waits a second, then insists.
  ~CommandStream() override {
    descriptor_.Close();
    ::kill(-child_, SIGTERM);
    for (int tries = 0; tries < 100; ++tries) {
      if (::waitpid(child_, nullptr, WNOHANG) == child_) {
        ::kill(-child_, SIGKILL);  // What the shell left behind.
        return;
      }
      const timespec pause{0, 10'000'000};
      ::nanosleep(&pause, nullptr);
    }
    ::kill(-child_, SIGKILL);
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
  }

 private:
  pid_t child_;
};

// Runs in the child between fork and exec: only async-signal-safe calls.
[[noreturn]] void BecomeCommand(const char* command, int out, pid_t parent) {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != parent) ::_exit(127);  // The parent died before the line above.
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int null = ::open("/dev/null", O_RDONLY);
  if (null < 0 || ::dup2(null, 0) < 0 || ::dup2(out, 1) < 0) ::_exit(127);
  ::execl("/bin/sh", "sh", "-c", command, static_cast<char*>(nullptr));
  ::_exit(127);
}

}  // namespace

base::Result<std::unique_ptr<ByteStream>> OpenCommand(const std::string& command) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) return SystemError("pipe");
  Descriptor reading(ends[0]);
  const Descriptor writing(ends[1]);
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return SystemError("command \"" + command + "\"");
  if (child == 0) BecomeCommand(command.c_str(), writing.get(), parent);
  ::setpgid(child, child);  // In both, so that the group exists whoever is first.
  ::fcntl(reading.get(), F_SETFL, O_NONBLOCK);
  return std::unique_ptr<ByteStream>(new CommandStream(std::move(reading), command, child));
}

base::Result<std::unique_ptr<ByteStream>> OpenPath(const std::string& path) {
  // Not blocking: a FIFO without a writer opens at once, and poll does not report its end before
  // a writer has come and gone.
  const int number = path == "-" ? ::fcntl(0, F_DUPFD_CLOEXEC, 0)
                                 : ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (number < 0) return SystemError(path);
  Descriptor descriptor(number);
  struct stat about{};
  if (::fstat(number, &about) != 0) return SystemError(path);
  if (S_ISDIR(about.st_mode)) {
    return Error{ErrorCode::kInvalidArgument, path + ": is a folder"};
  }
  return std::unique_ptr<ByteStream>(
      new DescriptorStream(std::move(descriptor), path == "-" ? "stdin" : path));
}

bool IsPlainFile(const std::string& path) {
  struct stat about{};
  return ::stat(path.c_str(), &about) == 0 && S_ISREG(about.st_mode);
}

}  // namespace tinylcm::source
