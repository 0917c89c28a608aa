// Export: a whole installation, written down so that it can be set up again elsewhere, on any
// database and any object store.
//
// Rows come from one snapshot of the database, beside a running server; objects are listed after
// that, so that whatever a row names is there. Rows are read in stretches: memory does not grow
// with the fleet.

#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/json.h"
#include "base/result.h"
#include "tinysphere/operation/dump.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::operation {

inline constexpr std::string_view kDumpFormat = "tinysphere-export/1";

// What went through, of an export or an import.
struct Moved {
  std::string dump_id;
  std::map<std::string, std::int64_t> rows;  // By table.
  std::int64_t objects = 0;
  std::uint64_t object_bytes = 0;
  std::int64_t keys = 0;
  // Objects that were deleted while the export ran.
  std::int64_t vanished = 0;
  // Of an import: texts that were none, of a release that took anything.
  std::int64_t repaired = 0;
  std::string sha256;            // Over all of it.
  std::string store_generation;  // Of an import: the new one.

  std::int64_t all_rows() const;
  base::Json ToJson() const;
};

// Told what was done, a sentence now and then.
using Progress = std::function<void(const std::string&)>;

struct ExportSource {
  store::Database& database;
  store::ObjectStore& objects;
  base::FileSystem& fs;
  base::Clock& clock;
  std::string key_folder;
};
base::Result<Moved> Export(const ExportSource& source, DumpWriter& writer,
                           const Progress& progress);

}  // namespace tinysphere::operation
