// SnapshotStore: the state before every change, so that every change can be undone to the byte.
//
// A snapshot is one file: a header that names each blob with its size and SHA-256, then the blobs.
// The store knows nothing of what is in them. What does not match its checksum is refused, and the
// error names the snapshot and the blob; the others stay readable.
//
// Disk: FOLDER/s-00000012.tls, format in docs/formats/device_state.md.

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
  std::vector<BlobInfo> blobs;
  std::uint64_t bytes = 0;  // The file's.
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
    std::uint32_t snapshots_max = 20;       // The oldest go first; the newest always stays.
    std::uint64_t bytes_max = 64ull << 20;  // Of all files together.
  };

  struct Listing {
    std::vector<SnapshotInfo> snapshots;  // Oldest first.
    std::vector<std::string> damaged;     // One line each: what and why.
  };

  // `fs` must outlive the store. Half-written files of an earlier life are removed.
  static base::Result<SnapshotStore> Open(base::FileSystem& fs, const std::string& folder,
                                          const Options& options);

  // Durable when it returns; then the retention is applied. Returns the id.
  base::Result<std::string> Save(base::Time now, const std::string& reason, const Blobs& blobs);

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
  base::Status ApplyRetention();

  base::FileSystem* fs_;
  std::string folder_;
  Options options_;
  std::uint64_t next_ = 1;
};

}  // namespace tinylcm::state
