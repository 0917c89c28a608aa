// TwoCopyRecord: a small value that must survive a power cut at any moment: slots, counters, epoch.
//
// Picture two sheets of paper. The newer one is never touched; what is new is written on the older
// one, and only when that sheet is whole and on the disk does it become the newer. Each carries a
// generation and a CRC-32C, so a reader takes the newest sheet that is whole.
//
// A change that must take no time can be prepared: a third sheet, PATH.next, is written and synced
// beforehand, and Turn() lays it over the older one by a single rename.
//
// Disk: PATH.a, PATH.b and PATH.next, format in docs/formats/device_state.md. For values of up to 1
// MiB.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/result.h"

namespace tinylcm::state {

// Not thread-safe. One writer a path.
class TwoCopyRecord {
 public:
  static constexpr std::uint64_t kBytesMax = 1u << 20;

  // `fs` must outlive the record. The folder of `path` is made if need be. A copy that is torn or
  // flipped is passed over and counted; kCorrupt if copies exist and none is whole.
  static base::Result<TwoCopyRecord> Open(base::FileSystem& fs, const std::string& path);

  // The last value written whole; nullopt before the first.
  const std::optional<base::Bytes>& value() const { return value_; }
  std::uint64_t generation() const { return generation_; }
  // Copies that were there but not whole when the record was opened: 0 or 1.
  int damaged_copies() const { return damaged_copies_; }

  // Durable when it returns ok. After an error value() is the old one, here and after a restart
  // (unless the machine stopped before the failed copy could be removed); the copy is made anew by
  // the next Write.
  base::Status Write(base::ByteView value);

  // Writes a value that may soon be the next one; value() stays as it is. Any Write makes it void,
  // and so does a restart: it must be prepared anew.
  base::Status Prepare(base::ByteView value);
  bool is_prepared() const { return prepared_.has_value(); }
  // The prepared value holds: one rename, durable when it returns. After an error value() is the
  // old one here; after a restart it may be either. REQUIRES: is_prepared().
  base::Status Turn();

 private:
  TwoCopyRecord(base::FileSystem& fs, std::string path) : fs_(&fs), path_(std::move(path)) {}
  std::string PathOf(std::size_t copy) const { return path_ + (copy == 0 ? ".a" : ".b"); }
  base::Status CheckSize(base::ByteView value) const;

  base::FileSystem* fs_;
  std::string path_;
  std::optional<base::Bytes> value_;
  std::uint64_t generation_ = 0;
  std::uint64_t tried_ = 0;  // Generations that were begun, also those that failed.
  std::size_t newest_ = 1;   // So that the first one written is .a.
  struct Prepared {
    std::uint64_t generation = 0;
    base::Bytes value;
  };
  std::optional<Prepared> prepared_;
  int damaged_copies_ = 0;
};

}  // namespace tinylcm::state
