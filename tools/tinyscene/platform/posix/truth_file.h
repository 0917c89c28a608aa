// TruthFile: the truth file on disk. One writer at a time; each line is one write, so a reader
// never sees half a line, and a writer that starts again goes on where the last one ended.

#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"

namespace tinyscene {

// Not thread-safe.
class TruthFile {
 public:
  // Opens or creates `path`; waits up to `patience` for another writer to let go of it. A last line
  // without its end (a writer died in it) is cut off.
  static base::Result<std::unique_ptr<TruthFile>> Open(const std::string& path,
                                                       base::Duration patience);
  ~TruthFile();
  TruthFile(const TruthFile&) = delete;
  TruthFile& operator=(const TruthFile&) = delete;

  // The file as it was when it was opened.
  const std::string& content() const { return content_; }

  base::Status Append(const std::string& line);

 private:
  TruthFile(int fd, std::string path) : fd_(fd), path_(std::move(path)) {}
  int fd_;
  std::string path_;
  std::string content_;
};

}  // namespace tinyscene
