// Pictures out of a folder: FolderSource, those that are there; WatchedFolder, also those to come.
//
// A file whose name says JPEG or PNG and whose first bytes do not is an error that names it,
// counted and skipped.

#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "tinylcm/source/folder_watch.h"
#include "tinylcm/source/frame.h"

namespace tinylcm::source {

// The JPEG and PNG files of a folder, by name; of each subfolder, which is the label. Or one file.
class FolderSource final : public Source {
 public:
  struct Options {
    std::uint64_t file_bytes_max = 16u << 20;
  };
  // Lists `folder`: with subfolders each is a class, else the pictures have no label. A single
  // picture's path is fine, too. kNotFound if there is no picture at all. `fs` and `clock` must
  // outlive the source.
  static base::Result<std::unique_ptr<FolderSource>> Open(base::FileSystem& fs, base::Clock& clock,
                                                          const std::string& folder,
                                                          const Options& options);
  static base::Result<std::unique_ptr<FolderSource>> Open(base::FileSystem& fs, base::Clock& clock,
                                                          const std::string& folder) {
    return Open(fs, clock, folder, Options{});
  }

  base::Result<std::optional<Frame>> Next() override;
  bool ended() const override { return next_ >= entries_.size(); }
  SourceCounters counters() const override {
    const std::scoped_lock lock(mutex_);
    return counters_;
  }

  std::size_t size() const { return entries_.size(); }
  const std::vector<std::string>& labels() const { return labels_; }  // Sorted.
  // The file that the last Next was about.
  const std::string& path() const { return path_; }

 private:
  struct Entry {
    std::string path;
    std::string label;
  };
  FolderSource(base::FileSystem& fs, base::Clock& clock, const Options& options)
      : fs_(fs), clock_(clock), options_(options) {}

  base::FileSystem& fs_;
  base::Clock& clock_;
  Options options_;
  std::vector<Entry> entries_;
  std::vector<std::string> labels_;
  std::size_t next_ = 0;
  std::string path_;
  mutable std::mutex mutex_;  // Guards counters_, which another thread may ask for.
  SourceCounters counters_;
};

// The JPEG and PNG files of one folder (not of those below it): first those that are there, by
// name, then each new one when it is whole. Files of other names are counted and skipped, but for
// those that begin with a dot or end in .tmp or .part, which are on their way. Never ends.
class WatchedFolder final : public Source {
 public:
  struct Options {
    std::uint64_t file_bytes_max = 16u << 20;
    std::size_t waiting_max = 4096;  // Names; beyond, the oldest is left out and counted.
    base::Duration wait{200};        // Next returns nullopt when nothing came for that long.
  };
  // `watch`: of that folder, begun before this call. `fs`, `clock` and `logger` must outlive it.
  static base::Result<std::unique_ptr<WatchedFolder>> Open(base::FileSystem& fs, base::Clock& clock,
                                                           base::Logger& logger,
                                                           const std::string& folder,
                                                           std::unique_ptr<FolderWatch> watch,
                                                           const Options& options);
  // With inotify, or, where there is none, by looking once a second.
  static base::Result<std::unique_ptr<WatchedFolder>> Open(base::FileSystem& fs, base::Clock& clock,
                                                           base::Logger& logger,
                                                           const std::string& folder);

  base::Result<std::optional<Frame>> Next() override;
  bool ended() const override { return false; }
  SourceCounters counters() const override;

 private:
  WatchedFolder(base::FileSystem& fs, base::Clock& clock, base::Logger& logger,
                const std::string& folder, std::unique_ptr<FolderWatch> watch,
                const Options& options);
  void Note(const std::string& name);
  void Count(std::uint64_t SourceCounters::* which);

  base::FileSystem& fs_;
  base::Clock& clock_;
  base::Logger& logger_;
  std::string folder_;
  std::unique_ptr<FolderWatch> watch_;
  Options options_;
  std::deque<std::string> waiting_;
  std::vector<std::string> news_;
  std::uint64_t index_ = 0;
  mutable std::mutex mutex_;  // Guards counters_, which another thread may ask for.
  SourceCounters counters_;
};

}  // namespace tinylcm::source
