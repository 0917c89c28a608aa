// Dump: an installation on its way from one place to another, as a list of named contents.
//
//   manifest.json              who made it, when, at which migration, and the columns of each table
//   tables/<table>/<n>.jsonl   rows, an array a line
//   keys/<file>                what the server is known by: whoever has the dump can be the server
//   objects/<key>              the object store
//   end.json                   how much there was of each, and a SHA-256 over all of it
//
// It is written and read in this order, from its beginning to its end, as a folder or as one
// .tar.zst; docs/formats/export.md describes it.

#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/bytes.h"
#include "base/file_system.h"
#include "base/result.h"

namespace tinysphere::operation {

struct DumpEntry {
  std::string name;
  std::uint64_t bytes = 0;
};

// Dropped without Finish, nothing of it remains. Not thread-safe.
class DumpWriter {
 public:
  virtual ~DumpWriter() = default;
  // The next content, of which exactly `bytes` are appended.
  virtual base::Status Begin(const DumpEntry& entry) = 0;
  virtual base::Status Append(base::ByteView bytes) = 0;
  // Durable and in its place when it returns ok.
  virtual base::Status Finish() = 0;
};

// Not thread-safe.
class DumpReader {
 public:
  virtual ~DumpReader() = default;
  // Sets `entry` to the next content; false after the last. What was left of the one before is
  // skipped.
  virtual base::Result<bool> Next(DumpEntry& entry) = 0;
  // The next bytes of the current content; 0 at its end.
  virtual base::Result<std::size_t> Read(std::span<std::uint8_t> out) = 0;
};

// A folder that is not there yet, and a file `index` in it that keeps the order. `fs` must outlive
// them.
base::Result<std::unique_ptr<DumpWriter>> WriteDumpFolder(base::FileSystem& fs,
                                                          const std::string& path);
base::Result<std::unique_ptr<DumpReader>> ReadDumpFolder(base::FileSystem& fs,
                                                         const std::string& path);

}  // namespace tinysphere::operation
