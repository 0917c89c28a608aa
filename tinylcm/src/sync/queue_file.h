// The file of one queued package, and the names of such files. docs/formats/queue.md.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinylcm/sync/package_queue.h"

namespace tinylcm::sync {

inline constexpr std::string_view kQueueSuffix = ".tlp";

// "1-00000042.tlp", in acked/ "1-00000042.<when, Unix seconds>.tlp".
struct QueueFileName {
  int package_class = 3;
  std::uint64_t seq = 0;
  std::optional<std::int64_t> acked_at;

  std::string key() const;  // "1-00000042"
  std::string text() const;
};
std::optional<QueueFileName> ParseQueueFileName(std::string_view text);

// What stands before the archive.
base::Bytes WriteQueueHead(const QueuedPackage& package);

struct QueueHead {
  QueuedPackage package;  // `folder` and `file` are the caller's to fill in.
  std::uint64_t archive_offset = 0;
};
// Reads the head and checks everything but the archive's own digest. kCorrupt says what is wrong.
base::Result<QueueHead> ReadQueueHead(const base::ReadableFile& file, std::string_view name);

// kCorrupt unless the archive in `file` has the head's digest.
base::Status CheckArchive(const base::ReadableFile& file, const QueueHead& head);

std::string FolderPath(const std::string& root, QueueFolder folder);

// The record beside the folders.
struct QueueRecord {
  std::string epoch;
  std::uint64_t next_seq = 1;
  std::array<std::uint64_t, 5> evicted{};
  std::uint64_t set_aside = 0;

  base::Bytes Write() const;
  static base::Result<QueueRecord> Parse(base::ByteView bytes);
};

// Why an entry is in dead/: "1-00000042.json".
std::string WriteDeadReason(const QueuedPackage& package);
void ReadDeadReason(base::FileSystem& fs, const std::string& folder, QueuedPackage& package);

}  // namespace tinylcm::sync
