// SnapshotStore: the state before every change, so that every change can be undone to the byte.
//
// A snapshot is a sheet of paper that names things in a cupboard: a small file with each blob's
// name, size and SHA-256, and in blobs/ one file a content, named by that digest. What two
// snapshots share lies there once. The store knows nothing of what is in the blobs. What does not
// match its digest is refused, and the error names the snapshot and the blob; the others stay
// readable.
//
// A blob is written before the sheet that names it and removed after the last such sheet, so a kill
// leaves at most a blob nobody names, which the next Save removes. On a full disk Save fails,
// leaves nothing behind, and every earlier snapshot is as it was.
//
// Disk: FOLDER/s-00000012.tls, FOLDER/blobs/<sha256>; format in docs/formats/device_state.md.

#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"

namespace tinylcm::state {

using Blobs = std::map<std::string, base::Bytes>;  // Ordered: same blobs, same file.

struct BlobInfo {
  std::string name;
  std::uint64_t bytes = 0;
  std::string sha256;  // Hex.
  friend bool operator==(const BlobInfo&, const BlobInfo&) = default;
};

struct SnapshotInfo {
  std::string id;  // "s-00000012"; later ones sort after earlier ones.
  base::Time created{};
  std::string reason;
  bool is_proven = true;  // What it holds had passed its probation, or is the bundle alone.
  std::vector<BlobInfo> blobs;
  std::uint64_t bytes = 0;  // Of its file and its blobs, shared ones too.
};

struct BlobDifference {
  enum class Kind { kAdded, kRemoved, kChanged };
  Kind kind = Kind::kChanged;
  std::string name;
  std::uint64_t bytes_before = 0;
  std::uint64_t bytes_after = 0;
  std::uint64_t first_difference = 0;  // Offset of the first byte that differs (kChanged).
  friend bool operator==(const BlobDifference&, const BlobDifference&) = default;
};

// Not thread-safe. One store a folder.
class SnapshotStore {
 public:
  struct Options {
    // The oldest go first. The newest always stays, and so does the newest that is proven and
    // whole: the last good one.
    std::uint32_t snapshots_max = 20;
    std::uint64_t bytes_max = 64ull << 20;  // Of all files together.
  };

  struct Listing {
    std::vector<SnapshotInfo> snapshots;  // Oldest first.
    std::vector<std::string> damaged;     // One line each: what and why.
    std::uint64_t bytes = 0;              // On the disk, what is shared counted once.
  };

  // `fs` must outlive the store. Half-written files of an earlier life are removed.
  static base::Result<SnapshotStore> Open(base::FileSystem& fs, const std::string& folder,
                                          const Options& options);
  // For a look beside the process that owns the folder: nothing is removed or made.
  static SnapshotStore ToRead(base::FileSystem& fs, const std::string& folder);

  // Durable when it returns; then the retention is applied as far as the disk lets it. Returns the
  // id.
  base::Result<std::string> Save(base::Time now, const std::string& reason, const Blobs& blobs,
                                 bool is_proven = true);

  // Exactly the bytes that were saved. kNotFound; kCorrupt names the blob.
  base::Result<Blobs> Load(const std::string& id) const;
  base::Result<SnapshotInfo> Show(const std::string& id) const;  // Header only.
  base::Result<Listing> List() const;
  base::Result<std::vector<BlobDifference>> Diff(const std::string& before,
                                                 const std::string& after) const;
  base::Status Remove(const std::string& id);

 private:
  SnapshotStore(base::FileSystem& fs, std::string folder, const Options& options)
      : fs_(&fs), folder_(std::move(folder)), options_(options) {}
  std::string PathOf(const std::string& id) const;
  std::string PathOfBlob(const std::string& sha256) const;
  base::Status KeepBlob(const std::string& sha256, base::ByteView bytes);
  base::Status ApplyRetention(const std::string& newest);
  base::Status RemoveUnnamedBlobs();

  base::FileSystem* fs_;
  std::string folder_;
  Options options_;
  std::uint64_t next_ = 1;
};

}  // namespace tinylcm::state
