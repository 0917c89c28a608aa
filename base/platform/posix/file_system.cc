#include "base/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/text.h"

namespace base {
namespace {

Error ErrorFrom(int code, std::string_view attempted, const std::string& path) {
  ErrorCode kind = ErrorCode::kUnavailable;
  if (code == ENOENT || code == ENOTDIR) kind = ErrorCode::kNotFound;
  if (code == ENOSPC || code == EDQUOT || code == EFBIG) kind = ErrorCode::kExhausted;
  if (code == EEXIST || code == ENOTEMPTY) kind = ErrorCode::kConflict;
  char buffer[128];
  // The GNU form, which need not use the buffer.
  const char* reason = strerror_r(code, buffer, sizeof buffer);
  return {kind, StrCat(path, ": ", attempted, ": ", reason)};
}

FileInfo InfoFrom(const struct stat& status, std::string name) {
  FileInfo info;
  info.name = std::move(name);
  info.bytes = static_cast<std::uint64_t>(status.st_size);
  info.is_directory = S_ISDIR(status.st_mode);
  info.modified = Time(std::chrono::seconds(status.st_mtim.tv_sec) +
                       std::chrono::milliseconds(status.st_mtim.tv_nsec / 1'000'000));
  return info;
}

// Owns a descriptor.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  int Release() { return std::exchange(fd_, -1); }

 private:
  int fd_;
};

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}

  Status Append(ByteView bytes) override {
    CHECK(fd_.get() >= 0);
    while (!bytes.empty()) {
      const ssize_t written = ::write(fd_.get(), bytes.data(), bytes.size());
      if (written < 0) {
        if (errno == EINTR) continue;
        return ErrorFrom(errno, "write", path_);
      }
      bytes = bytes.subspan(static_cast<std::size_t>(written));
    }
    return {};
  }

  Status Sync() override {
    CHECK(fd_.get() >= 0);
    if (::fdatasync(fd_.get()) != 0) return ErrorFrom(errno, "sync", path_);
    return {};
  }

  Status Close() override {
    CHECK(fd_.get() >= 0);
    // Linux frees the descriptor even when close() reports EINTR.
    if (::close(fd_.Release()) != 0 && errno != EINTR) return ErrorFrom(errno, "close", path_);
    return {};
  }

 private:
  Descriptor fd_;
  std::string path_;
};

class PosixReadableFile final : public ReadableFile {
 public:
  PosixReadableFile(int fd, std::string path, std::uint64_t size)
      : fd_(fd), path_(std::move(path)), size_(size) {}

  std::uint64_t size() const override { return size_; }

  Result<std::size_t> ReadAt(std::uint64_t offset, std::span<std::uint8_t> out) const override {
    while (true) {
      const ssize_t count = ::pread(fd_.get(), out.data(), out.size(), static_cast<off_t>(offset));
      if (count >= 0) return static_cast<std::size_t>(count);
      if (errno != EINTR) return ErrorFrom(errno, "read", path_);
    }
  }

 private:
  Descriptor fd_;
  std::string path_;
  std::uint64_t size_;
};

class PosixFileSystem final : public FileSystem {
 public:
  Result<std::unique_ptr<WritableFile>> Create(const std::string& path, Mode mode,
                                               bool owner_only) override {
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC;
    if (mode == Mode::kTruncate) flags |= O_TRUNC;
    if (mode == Mode::kAppend) flags |= O_APPEND;
    if (mode == Mode::kExclusive) flags |= O_EXCL;
    Descriptor fd(::open(path.c_str(), flags, owner_only ? 0600 : 0644));
    if (fd.get() < 0) return ErrorFrom(errno, "create", path);
    // A file left over from before may have had a wider mode.
    if (owner_only && ::fchmod(fd.get(), 0600) != 0) return ErrorFrom(errno, "chmod", path);
    return std::unique_ptr<WritableFile>(std::make_unique<PosixWritableFile>(fd.Release(), path));
  }

  Result<std::unique_ptr<ReadableFile>> Open(const std::string& path) override {
    Descriptor fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.get() < 0) return ErrorFrom(errno, "open", path);
    struct stat status{};
    if (::fstat(fd.get(), &status) != 0) return ErrorFrom(errno, "stat", path);
    if (S_ISDIR(status.st_mode)) return ErrorFrom(EISDIR, "open", path);
    return std::unique_ptr<ReadableFile>(std::make_unique<PosixReadableFile>(
        fd.Release(), path, static_cast<std::uint64_t>(status.st_size)));
  }

  Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) {
      return ErrorFrom(errno, StrCat("rename to ", to), from);
    }
    return {};
  }

  Status Remove(const std::string& path) override {
    if (::remove(path.c_str()) != 0) return ErrorFrom(errno, "remove", path);
    return {};
  }

  Status CreateDirectories(const std::string& path) override {
    const Result<FileInfo> info = Stat(path);
    if (info.ok()) {
      if (info->is_directory) return {};
      return Error{ErrorCode::kConflict, StrCat(path, ": is a file, not a directory")};
    }
    const std::string parent(FolderOf(path));
    if (parent != path && parent != ".") RETURN_IF_ERROR(CreateDirectories(parent));
    if (::mkdir(path.c_str(), 0755) != 0 && errno != EEXIST) {
      return ErrorFrom(errno, "make directory", path);
    }
    return SyncDirectory(parent);
  }

  Status SyncDirectory(const std::string& path) override {
    const Descriptor fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (fd.get() < 0) return ErrorFrom(errno, "open", path);
    if (::fsync(fd.get()) != 0) return ErrorFrom(errno, "sync", path);
    return {};
  }

  Result<std::vector<FileInfo>> List(const std::string& path) override {
    DIR* directory = ::opendir(path.c_str());
    if (directory == nullptr) return ErrorFrom(errno, "list", path);
    std::vector<FileInfo> entries;
    errno = 0;
    while (const dirent* entry = ::readdir(directory)) {
      const std::string name = entry->d_name;
      if (name == "." || name == "..") continue;
      struct stat status{};
      // An entry that vanished meanwhile is not there: fine.
      if (::fstatat(::dirfd(directory), entry->d_name, &status, 0) == 0) {
        entries.push_back(InfoFrom(status, name));
      }
      errno = 0;
    }
    const int error = errno;
    ::closedir(directory);
    if (error != 0) return ErrorFrom(error, "list", path);
    std::sort(entries.begin(), entries.end(),
              [](const FileInfo& a, const FileInfo& b) { return a.name < b.name; });
    return entries;
  }

  Result<FileInfo> Stat(const std::string& path) override {
    struct stat status{};
    if (::stat(path.c_str(), &status) != 0) return ErrorFrom(errno, "stat", path);
    const std::size_t slash = path.rfind('/');
    return InfoFrom(status, slash == std::string::npos ? path : path.substr(slash + 1));
  }

  Result<std::uint64_t> FreeBytes(const std::string& path) override {
    struct statvfs status{};
    if (::statvfs(path.c_str(), &status) != 0) return ErrorFrom(errno, "statvfs", path);
    return static_cast<std::uint64_t>(status.f_bavail) * status.f_frsize;
  }
};

}  // namespace

FileSystem& SystemFileSystem() {
  static PosixFileSystem fs;
  return fs;
}

}  // namespace base
