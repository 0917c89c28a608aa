#include "tinysphere/platform/posix/child_program.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/file_system.h"
#include "base/text.h"

namespace tinysphere::posix {

using adaptation::ProgramEnd;
using adaptation::ProgramLimits;
using base::Error;
using base::ErrorCode;

namespace {

constexpr std::size_t kErrBytesKept = 64u << 10;
constexpr std::uint64_t kFileBytesMax = 1ull << 30;  // That the child may write.
constexpr int kNiceness = 10;                        // Devices and people come first.

// Closed when it goes.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  ~Fd() { Close(); }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    Close();
    fd_ = std::exchange(other.fd_, -1);
    return *this;
  }
  void Close() {
    if (fd_ >= 0) close(std::exchange(fd_, -1));
  }
  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};

base::Result<Pipe> MakePipe() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) {
    return Error{ErrorCode::kUnavailable, base::StrCat("pipe: ", std::strerror(errno))};
  }
  return Pipe{.read = Fd(ends[0]), .write = Fd(ends[1])};
}

std::string FolderOfThisProgram() {
  char path[4096];
  const ssize_t count = readlink("/proc/self/exe", path, sizeof path);
  if (count <= 0 || static_cast<std::size_t>(count) == sizeof path) return ".";
  return std::string(base::FolderOf(std::string_view(path, static_cast<std::size_t>(count))));
}

// In the child, between fork and exec: nothing that allocates or locks. Never returns.
[[noreturn]] void Become(const char* path, char* const* arguments, char* const* environment, int in,
                         int out, int err, const ProgramLimits& limits) {
  setpgid(0, 0);
  // It must not outlive a server that was killed.
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
  signal(SIGPIPE, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  const auto bound = [](int what, std::uint64_t most) {
    const rlimit limit{.rlim_cur = most, .rlim_max = most};
    setrlimit(static_cast<__rlimit_resource>(what), &limit);
  };
  bound(RLIMIT_CORE, 0);
  bound(RLIMIT_FSIZE, kFileBytesMax);
  bound(RLIMIT_AS, limits.memory_bytes_max);
  const auto seconds = static_cast<std::uint64_t>(limits.time_limit.count() / 1000 + 1);
  // On several cores a second has several seconds of work.
  bound(RLIMIT_CPU, seconds * 8);
  setpriority(PRIO_PROCESS, 0, kNiceness);
  dup2(in, 0);
  dup2(out, 1);
  dup2(err, 2);
  // The rest is closed on exec by its flag; what a library opened without one is closed here.
  close_range(3, ~0U, 0);
  execve(path, arguments, environment);
  _exit(127);
}

// Reads what there is; false at the end. Beyond `most` it is read and dropped.
bool Drain(int fd, std::string& into, std::size_t most, bool& is_over) {
  char block[16384];
  const ssize_t count = read(fd, block, sizeof block);
  if (count < 0) return errno == EINTR || errno == EAGAIN;
  if (count == 0) return false;
  const std::size_t room = most - std::min(most, into.size());
  const auto taken = std::min(room, static_cast<std::size_t>(count));
  into.append(block, taken);
  if (taken < static_cast<std::size_t>(count)) is_over = true;
  return true;
}

class ChildProgram final : public adaptation::Program {
 public:
  ChildProgram(std::string path, std::string option)
      : path_(std::move(path)), option_(std::move(option)), stop_(eventfd(0, EFD_CLOEXEC)) {}

  base::Status Check() override {
    if (access(path_.c_str(), X_OK) == 0) return {};
    return Error{ErrorCode::kNotFound,
                 base::StrCat("no program to run at ", path_, "; say where it is with ", option_)};
  }

  base::Result<ProgramEnd> Run(const std::vector<std::string>& arguments,
                               const ProgramLimits& limits) override {
    RETURN_IF_ERROR(Check());
    ASSIGN_OR_RETURN(Pipe out, MakePipe());
    ASSIGN_OR_RETURN(Pipe err, MakePipe());
    Fd in(open("/dev/null", O_RDONLY | O_CLOEXEC));
    if (!in.is_open()) return Error{ErrorCode::kUnavailable, "/dev/null cannot be opened"};

    // Made before the fork: afterwards another thread may hold the allocator's lock for ever.
    std::vector<std::string> words = {path_};
    words.insert(words.end(), arguments.begin(), arguments.end());
    std::vector<char*> argv;
    for (std::string& word : words) argv.push_back(word.data());
    argv.push_back(nullptr);
    std::vector<std::string> kept = KeptEnvironment();
    std::vector<char*> envp;
    for (std::string& line : kept) envp.push_back(line.data());
    envp.push_back(nullptr);

    const pid_t pid = fork();
    if (pid < 0) {
      return Error{ErrorCode::kUnavailable, base::StrCat("fork: ", std::strerror(errno))};
    }
    if (pid == 0) {
      Become(path_.c_str(), argv.data(), envp.data(), in.get(), out.write.get(), err.write.get(),
             limits);
    }
    setpgid(pid, pid);  // Both do it, so that whoever comes second finds it done.
    out.write.Close();
    err.write.Close();
    return Watch(pid, std::move(out.read), std::move(err.read), limits);
  }

  void Stop() override {
    const std::uint64_t one = 1;
    (void)!write(stop_.get(), &one, sizeof one);
  }

 private:
  // What the child needs to find its libraries and speak; nothing of the server's own.
  static std::vector<std::string> KeptEnvironment() {
    std::vector<std::string> kept;
    for (const char* name : {"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH",
                             "XDG_CACHE_HOME", "TINYLCM_LITERT", "TINYLCM_ONNXRUNTIME"}) {
      const char* value = std::getenv(name);
      if (value != nullptr) kept.push_back(base::StrCat(name, "=", value));
    }
    return kept;
  }

  base::Result<ProgramEnd> Watch(pid_t pid, Fd out, Fd err, const ProgramLimits& limits) {
    ProgramEnd end;
    bool is_over = false;
    bool err_is_over = false;
    bool is_late = false;
    bool is_stopped = false;
    const auto until = std::chrono::steady_clock::now() + limits.time_limit;
    while ((out.is_open() || err.is_open()) && !is_over) {
      const auto left =
          std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
      if (left.count() <= 0) {
        is_late = true;
        break;
      }
      pollfd watched[3] = {{.fd = out.get(), .events = POLLIN, .revents = 0},
                           {.fd = err.get(), .events = POLLIN, .revents = 0},
                           {.fd = stop_.get(), .events = POLLIN, .revents = 0}};
      const int wait = static_cast<int>(std::min<std::int64_t>(left.count(), 60'000));
      if (poll(watched, 3, wait) < 0 && errno != EINTR) break;
      if (watched[2].revents != 0) {
        is_stopped = true;
        break;
      }
      if (watched[0].revents != 0 && !Drain(out.get(), end.out, limits.output_bytes_max, is_over)) {
        out.Close();
      }
      if (watched[1].revents != 0 && !Drain(err.get(), end.err, kErrBytesKept, err_is_over)) {
        err.Close();
      }
    }
    // Whoever closed both and goes on, or left somebody behind, ends now too.
    const bool is_ended_by_us = is_over || is_late || is_stopped;
    if (is_ended_by_us) kill(-pid, SIGKILL);
    int status = 0;
    RETURN_IF_ERROR(Reap(pid, until, is_ended_by_us, status, is_late));
    kill(-pid, SIGKILL);
    if (is_stopped) return Error{ErrorCode::kUnavailable, "the server was told to stop"};
    if (is_late) {
      return Error{ErrorCode::kExhausted,
                   base::StrCat("the program was ended: it took longer than ",
                                base::FormatDuration(limits.time_limit))};
    }
    if (is_over) {
      return Error{ErrorCode::kExhausted, base::StrCat("the program was ended: it said more than ",
                                                       limits.output_bytes_max, " bytes")};
    }
    end.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return end;
  }

  // Waits for a child whose output has ended, no longer than it had time.
  static base::Status Reap(pid_t pid, std::chrono::steady_clock::time_point until, bool is_killed,
                           int& status, bool& is_late) {
    while (true) {
      const pid_t reaped = waitpid(pid, &status, is_killed ? 0 : WNOHANG);
      if (reaped == pid) return {};
      if (reaped < 0 && errno != EINTR) {
        return Error{ErrorCode::kUnavailable, base::StrCat("waitpid: ", std::strerror(errno))};
      }
      if (is_killed || reaped != 0) continue;
      if (std::chrono::steady_clock::now() >= until) {
        is_late = true;
        is_killed = true;
        kill(-pid, SIGKILL);
        continue;
      }
      poll(nullptr, 0, 5);
    }
  }

  std::string path_;
  std::string option_;
  Fd stop_;
};

}  // namespace

std::unique_ptr<adaptation::Program> MakeChildProgram(const std::string& path,
                                                      const std::string& name,
                                                      const std::string& option) {
  return std::make_unique<ChildProgram>(
      path.empty() ? base::JoinPath(FolderOfThisProgram(), name) : path, option);
}

}  // namespace tinysphere::posix
