// PackedObjects: small contents one after the other in large files, so that many of them cost one
// flush of the disk. A folder store with a file a content pays for creating, flushing and renaming
// each; a package of 100 kB spends more on that than on everything else.
//
//   packs/<16 hex>.pack   [record][record][record]...      a record: 512 bytes that say what it is,
//                                                           then the content
//
// What is kept gets a key that says where it lies, so that nothing has to be looked up and nothing
// has to be remembered: "packages/d/e/42" becomes "packages/d/e/42=<pack>.<record at>.<bytes>",
// `at` in units of 512 bytes. Deleting overwrites the record with nothing (a hole, where the file
// system has such); a pack that holds nothing any more is removed by a listing, days later. A
// record that reaches past its pack's end is none: it is being written, or a crash tore it.
//
// The idea is that of Haystack (Beaver et al., OSDI 2010).

#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::store {

// Makes a stretch of a file read as zeros, durably, and gives its space back where that can be.
using EraseRange =
    std::function<base::Status(const std::string& path, std::uint64_t offset, std::uint64_t bytes)>;

struct PackOptions {
  std::string folder;               // Of the packs. On a local disk.
  std::string bucket = "packages";  // Only what is kept there is packed.
  std::uint64_t content_max = 256 * 1024;
  std::uint64_t pack_bytes = 64ull << 20;  // Then another is begun.
  std::uint64_t free_bytes_min = 64ull << 20;
  std::size_t listed_ahead = 50'000;  // Records kept of a listing, some 10 MB.
};

// `objects` with ObjectStore::Keep of small contents made cheap; all else is passed on to it. `fs`
// and `clock` must outlive the store.
base::Result<std::unique_ptr<ObjectStore>> PackObjects(std::unique_ptr<ObjectStore> objects,
                                                       base::FileSystem& fs, base::Clock& clock,
                                                       EraseRange erase,
                                                       const PackOptions& options);

}  // namespace tinysphere::store
