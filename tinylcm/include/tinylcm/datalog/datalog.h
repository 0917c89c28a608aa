// Datalog: what was answered, kept in few files within a byte budget: lines in one of three formats
// (datalog/format.h), sampled pictures in files of their own (datalog/pictures.h).
//
//   Append ─▶ buffer ─Flush, once a second─▶ 00000012.jsonl   full: the next number is begun
//   AppendPicture ─▶ buffer ─────────────▶ 00000013.tar
//
// A kill costs at most what came since the last flush, a clean stop nothing. A file is never
// appended to after a restart: a torn tail stays where it is, and readers pass it over. Files are
// numbered, never dated: a clock that jumps changes nothing. An entry lies in one file: where a
// disk was full in the middle of one, the next file waits for its rest.
//
// Eviction: where all together are more than `bytes_max`, the oldest file goes, whole, and is
// counted: of the pictures as long as they take more than half of it, else of the lines. A file
// being written stays.

#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/file_system.h"
#include "base/result.h"
#include "tinylcm/datalog/format.h"
#include "tinylcm/datalog/pictures.h"
#include "tinylcm/datalog/record.h"

namespace tinylcm::datalog {

// Not thread-safe: one thread owns it, and that is not the frame thread.
class Datalog {
 public:
  struct Options {
    Format format = Format::kJsonl;
    std::uint64_t bytes_max = 64ull << 20;      // Of all files.
    std::uint64_t file_bytes_max = 4ull << 20;  // Then the next is begun; at most bytes_max / 4.
    std::size_t buffer_bytes_max = 1u << 20;    // Lines beyond it are dropped until a flush works,
    std::size_t picture_bytes_max = 4u << 20;   // ... and pictures beyond this.
  };

  // `fs` must outlive it.
  static base::Result<Datalog> Open(base::FileSystem& fs, const std::string& folder,
                                    const Options& options);

  // What the records of a bundle's generation call their labels. Before its first record.
  void SetBundle(BundleLabels bundle);
  bool knows_bundle(std::uint32_t generation) const { return bundles_.contains(generation); }

  // False, and counted, where the buffer is full because the disk does not take it.
  bool Append(const Record& record);
  bool AppendPicture(const Record& record, ImageReason reason, base::ByteView jpeg);
  base::Status Flush();
  // Flushes and makes it durable.
  base::Status Close();

  std::string_view LabelOf(const Record& record) const;   // Its name, or "unknown".
  std::string_view BundleOf(const Record& record) const;  // Its id; empty: long gone.

  std::uint64_t dropped_lines() const { return dropped_lines_; }
  std::uint64_t dropped_pictures() const { return dropped_pictures_; }
  std::uint64_t evicted_files() const { return evicted_files_; }
  std::uint64_t bytes() const { return bytes_[0] + bytes_[1]; }
  std::size_t files() const { return files_.size(); }
  // Why the last flush did not work; empty: it did.
  const std::string& last_error() const { return last_error_; }

 private:
  enum Kind : std::uint8_t { kLines, kPictures };
  struct File {
    std::uint64_t number = 0;
    Kind kind = kLines;
    std::string name;
    std::uint64_t bytes = 0;
  };
  struct Stream {
    std::string buffer;
    std::vector<std::size_t> ends;  // Of its entries, in their order.
    bool is_torn = false;           // `file` ends within the entry whose rest `buffer` begins with.
    std::unique_ptr<base::WritableFile> file;
    std::uint64_t number = 0;  // Of `file`.
  };

  Datalog(base::FileSystem& fs, std::string folder, const Options& options);
  base::Status FlushStream(Kind kind);
  base::Status BeginFile(Kind kind);
  base::Status EndFile(Kind kind);
  void KeepWhatIsMissing(Kind kind);
  void GiveUpFile(Kind kind);
  void Evict();
  File& Current(Kind kind);

  base::FileSystem* fs_;
  std::string folder_;
  Options options_;
  std::unique_ptr<Encoder> encoder_;
  std::map<std::uint32_t, BundleLabels> bundles_;  // The latest few.
  std::deque<File> files_;                         // Oldest first.
  std::array<Stream, 2> streams_;
  std::uint64_t next_ = 1;
  std::array<std::uint64_t, 2> bytes_{};
  std::uint64_t dropped_lines_ = 0;
  std::uint64_t dropped_pictures_ = 0;
  std::uint64_t evicted_files_ = 0;
  std::string last_error_;
};

// The files of a log's folder, oldest first; others that lie there are left out.
struct LogFile {
  std::string path;
  std::uint64_t bytes = 0;
  std::optional<Format> format;  // Nothing: pictures.
};
base::Result<std::vector<LogFile>> ListLog(base::FileSystem& fs, const std::string& folder);
// By its name's ending; kInvalidArgument for any other.
base::Result<LogFile> LogFileAt(base::FileSystem& fs, const std::string& path);

}  // namespace tinylcm::datalog
