// FakeFileSystem: a disk in memory that keeps only what was promised.
//
// Every file has what was written and what was synced, every directory the names it holds and the
// names that were synced. Crash() forgets the difference, or, given a seed, keeps a random part of
// it, as a real disk may. Operations that change something are counted, so that a test can pull the
// plug at each of them in turn:
//
//   for (int n = 0; ; ++n) {
//     FakeFileSystem fs;
//     fs.PowerOffAt(n);
//     ... what is tested ...
//     const bool reached = fs.power_is_off();
//     fs.Crash();
//     ... whatever was promised must hold ...
//     if (!reached) break;
//   }

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/file_system.h"
#include "base/random.h"

namespace tests {

// May be used from several threads.
class FakeFileSystem final : public base::FileSystem {
 public:
  enum class Operation {
    kCreate,
    kAppend,
    kSync,
    kRename,
    kRemove,
    kMakeDirectory,
    kSyncDirectory
  };
  // Given each changing operation before it happens; an Error makes it fail with that.
  using Fault = std::function<std::optional<base::Error>(Operation, const std::string& path)>;

  FakeFileSystem();

  base::Result<std::unique_ptr<base::WritableFile>> Create(const std::string& path, Mode mode,
                                                           bool owner_only) override;
  base::Result<std::unique_ptr<base::ReadableFile>> Open(const std::string& path) override;
  base::Status Rename(const std::string& from, const std::string& to) override;
  base::Status Remove(const std::string& path) override;
  base::Status CreateDirectories(const std::string& path) override;
  base::Status SyncDirectory(const std::string& path) override;
  base::Result<std::vector<base::FileInfo>> List(const std::string& path) override;
  base::Result<base::FileInfo> Stat(const std::string& path) override;
  base::Result<std::uint64_t> FreeBytes(const std::string& path) override;

  // The power goes and comes back: what was not synced is gone. Files that are still open fail from
  // now on.
  void Crash();
  // The same, but of what was not synced each file keeps a random beginning and each directory a
  // random selection. A rename stays atomic, as on every journaling file system.
  void Crash(std::uint64_t seed);

  // From the changing operation number `count` (from 0) on, everything fails until Crash().
  void PowerOffAt(int count);
  bool power_is_off() const;
  int operations() const;  // Changing operations so far.

  void SetFault(Fault fault);
  // How many bytes all files together may hold; beyond it an append writes what fits and fails with
  // kExhausted.
  void SetCapacity(std::uint64_t bytes);
  // What new files are dated with.
  void SetTime(base::Time now);

  // Behind everybody's back, synced and unsynced alike. REQUIRES: the file exists.
  void FlipBit(const std::string& path, std::uint64_t byte, int bit);
  void Truncate(const std::string& path, std::uint64_t bytes);
  void Write(const std::string& path, base::ByteView bytes);  // Creates it, with its directories.

 private:
  struct Node;
  class Writer;
  class Reader;
  using NodePointer = std::shared_ptr<Node>;

  NodePointer FindLocked(const std::string& path) const;
  base::Result<NodePointer> DirectoryOfLocked(const std::string& path) const;
  base::Status BeforeLocked(Operation operation, const std::string& path);
  void KeepSomeLocked(base::Random& random);
  void ForgetLocked();
  std::uint64_t UsedLocked() const;
  base::Status MakeDirectoriesLocked(const std::string& path);

  mutable std::mutex mutex_;
  NodePointer root_;
  std::uint64_t era_ = 0;  // Of the power; a file opened in an earlier one is dead.
  int operations_ = 0;
  std::optional<int> power_off_at_;
  bool power_is_off_ = false;
  Fault fault_;
  std::uint64_t capacity_ = std::uint64_t{1} << 40;
  base::Time now_{};
};

}  // namespace tests
