// FolderSource: the JPEG and PNG files of a folder, by name; of each subfolder, which is the label.

#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file_system.h"
#include "tinylcm/source/frame.h"

namespace tinylcm::source {

class FolderSource final : public Source {
 public:
  struct Options {
    std::uint64_t file_bytes_max = 16u << 20;
  };
  // Lists `folder`: with subfolders each is a class, else the pictures have no label.
  // kNotFound if there is no picture at all. `fs` and `clock` must outlive the source.
  static base::Result<std::unique_ptr<FolderSource>> Open(base::FileSystem& fs, base::Clock& clock,
                                                          const std::string& folder,
                                                          const Options& options);
  static base::Result<std::unique_ptr<FolderSource>> Open(base::FileSystem& fs, base::Clock& clock,
                                                          const std::string& folder) {
    return Open(fs, clock, folder, Options{});
  }

  base::Result<std::optional<Frame>> Next() override;
  bool ended() const override { return next_ >= entries_.size(); }
  SourceCounters counters() const override { return counters_; }

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
  SourceCounters counters_;
};

}  // namespace tinylcm::source
