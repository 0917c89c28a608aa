// FileSystem: the disk as the queue, the slots and the state see it, with the promises made plain.
//
// Nothing is durable before Sync() on the file and SyncDirectory() on its folder. A Sync that failed
// is believed: the file is abandoned and made anew, never synced a second time.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/result.h"

namespace base {

// Not thread-safe. Closed on destruction.
class WritableFile {
 public:
  virtual ~WritableFile() = default;
  virtual Status Append(ByteView bytes) = 0;
  virtual Status Sync() = 0;   // fdatasync or stronger.
  virtual Status Close() = 0;  // Reports what closing reports; further calls are bugs.
};

// May be read from several threads.
class ReadableFile {
 public:
  virtual ~ReadableFile() = default;
  virtual std::uint64_t size() const = 0;
  // Fills `out` from `offset`; returns how many bytes there were (0 at the end).
  virtual Result<std::size_t> ReadAt(std::uint64_t offset, std::span<std::uint8_t> out) const = 0;
};

struct FileInfo {
  std::string name;  // The last part of the path.
  std::uint64_t bytes = 0;
  bool is_directory = false;
  Time modified{};
};

// May be used from several threads. Paths are UTF-8, '/' separated. Errors: kNotFound, kExhausted
// (no space, quota), kConflict (exists already), kUnavailable (any other I/O error).
class FileSystem {
 public:
  virtual ~FileSystem() = default;
  enum class Mode { kTruncate, kAppend, kExclusive };
  // `owner_only`: mode 0600, for keys and tokens.
  virtual Result<std::unique_ptr<WritableFile>> Create(const std::string& path, Mode mode,
                                                       bool owner_only = false) = 0;
  virtual Result<std::unique_ptr<ReadableFile>> Open(const std::string& path) = 0;
  virtual Status Rename(const std::string& from, const std::string& to) = 0;  // Atomic; replaces.
  virtual Status Remove(const std::string& path) = 0;  // A file or an empty directory.
  // Fine if it exists. The directories themselves are durable when this returns.
  virtual Status CreateDirectories(const std::string& path) = 0;
  virtual Status SyncDirectory(const std::string& path) = 0;
  virtual Result<std::vector<FileInfo>> List(const std::string& path) = 0;  // Sorted by name.
  virtual Result<FileInfo> Stat(const std::string& path) = 0;
  virtual Result<std::uint64_t> FreeBytes(const std::string& path) = 0;
};

// The machine's disk (POSIX). Lives for the whole program.
FileSystem& SystemFileSystem();

// Reads a whole file; kExhausted if it is larger than `bytes_max`.
Result<Bytes> ReadFile(FileSystem& fs, const std::string& path, std::uint64_t bytes_max);
Result<std::string> ReadTextFile(FileSystem& fs, const std::string& path, std::uint64_t bytes_max);

// Replaces `path` so that after a crash either the old or the new content is there, whole:
// path.tmp -> sync -> rename -> sync directory.
Status WriteFileDurably(FileSystem& fs, const std::string& path, ByteView bytes,
                        bool owner_only = false);

// Removes a file or a whole tree; fine if it is not there.
Status RemoveTree(FileSystem& fs, const std::string& path);

std::string JoinPath(std::string_view folder, std::string_view name);
std::string_view FolderOf(std::string_view path);  // "a/b" -> "a"; "b" -> ".".
bool Exists(FileSystem& fs, const std::string& path);

}  // namespace base
