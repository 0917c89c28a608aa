// Datalog: a line of JSON for each thing worth keeping, in few files, within a byte budget.
//
// Lines gather in memory and go to the file at Flush (call it once a second), so a kill costs at
// most one second and a clean stop nothing. A file is never appended to after a restart: a torn
// last line stays where it is. When the budget is spent the oldest file goes, whole, and is
// counted.
//
// Disk: FOLDER/00000012.jsonl, oldest first.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>

#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"

namespace tinylcm::datalog {

// Not thread-safe: one thread owns it.
class Datalog {
 public:
  struct Options {
    std::uint64_t bytes_max = 64ull << 20;      // Of all files.
    std::uint64_t file_bytes_max = 4ull << 20;  // Then the next is begun.
    std::size_t buffer_bytes_max = 1u << 20;    // Beyond it lines are dropped until a flush works.
  };

  // `fs` must outlive it.
  static base::Result<Datalog> Open(base::FileSystem& fs, const std::string& folder,
                                    const Options& options);

  // False, and counted, where the buffer is full because the disk does not take it.
  bool Append(std::string_view line);
  base::Status Flush();
  // Flushes and makes it durable.
  base::Status Close();

  std::uint64_t dropped_lines() const { return dropped_lines_; }
  std::uint64_t evicted_files() const { return evicted_files_; }
  std::uint64_t bytes() const { return bytes_; }

 private:
  struct File {
    std::string name;
    std::uint64_t bytes = 0;
  };
  Datalog(base::FileSystem& fs, std::string folder, const Options& options)
      : fs_(&fs), folder_(std::move(folder)), options_(options) {}
  base::Status BeginFile();
  void KeepWhatIsMissing();
  void Evict();

  base::FileSystem* fs_;
  std::string folder_;
  Options options_;
  std::deque<File> files_;  // The last one is being written, if file_ is there.
  std::unique_ptr<base::WritableFile> file_;
  std::string buffer_;
  std::uint64_t next_ = 1;
  std::uint64_t bytes_ = 0;
  std::uint64_t dropped_lines_ = 0;
  std::uint64_t evicted_files_ = 0;
};

}  // namespace tinylcm::datalog
