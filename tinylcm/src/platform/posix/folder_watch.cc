// FolderWatch by inotify.

#include "tinylcm/source/folder_watch.h"

#include <poll.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

#include "base/text.h"

namespace tinylcm::source {

using base::Error;
using base::ErrorCode;

namespace {

class InotifyWatch final : public FolderWatch {
 public:
  InotifyWatch(int descriptor, std::string folder)
      : descriptor_(descriptor), folder_(std::move(folder)) {}
  InotifyWatch(const InotifyWatch&) = delete;
  InotifyWatch& operator=(const InotifyWatch&) = delete;
  ~InotifyWatch() override { ::close(descriptor_); }

  base::Status Take(base::Duration wait, std::vector<std::string>& names) override {
    pollfd waiting{descriptor_, POLLIN, 0};
    if (::poll(&waiting, 1, static_cast<int>(wait.count())) <= 0) return {};
    alignas(inotify_event) char buffer[16u << 10];
    const ssize_t count = ::read(descriptor_, buffer, sizeof buffer);
    if (count <= 0) return {};
    const auto end = static_cast<std::size_t>(count);
    for (std::size_t at = 0; at + sizeof(inotify_event) <= end;) {
      inotify_event event;
      std::memcpy(&event, buffer + at, sizeof event);
      if ((event.mask & IN_Q_OVERFLOW) != 0) overflow_ = true;
      if ((event.mask & (IN_IGNORED | IN_UNMOUNT)) != 0) {
        return Error{ErrorCode::kNotFound, folder_ + ": is gone"};
      }
      if ((event.mask & IN_ISDIR) == 0 && event.len > 0) {
        names.emplace_back(buffer + at + sizeof event);
      }
      at += sizeof event + event.len;
    }
    return {};
  }

  bool TakeOverflow() override { return std::exchange(overflow_, false); }

 private:
  int descriptor_;
  std::string folder_;
  bool overflow_ = false;
};

}  // namespace

base::Result<std::unique_ptr<FolderWatch>> WatchFolder(const std::string& folder) {
  const int descriptor = ::inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
  if (descriptor < 0) {
    return Error{ErrorCode::kUnavailable, base::StrCat(folder, ": inotify: ", strerror(errno))};
  }
  auto watch = std::make_unique<InotifyWatch>(descriptor, folder);
  if (::inotify_add_watch(descriptor, folder.c_str(), IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR) <
      0) {
    return Error{
        errno == ENOENT || errno == ENOTDIR ? ErrorCode::kNotFound : ErrorCode::kUnavailable,
        base::StrCat(folder, ": ", strerror(errno))};
  }
  return std::unique_ptr<FolderWatch>(std::move(watch));
}

}  // namespace tinylcm::source
