// Import: sets an exported installation up again on an empty database, an empty object store and an
// empty data folder.
//
// It happens whole or not at all. A file DATA/importing stands while it runs, and nothing is served
// from there; keys and objects come first and may be written twice; all rows then come in one
// transaction. Killed in between or after it, the same command does the rest.
// The store generation is a new one: devices learn by it that this server may know less than the
// one they knew, offer what they remember having sent, and send again what is missing.

#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/clock.h"
#include "base/file_system.h"
#include "base/result.h"
#include "tinysphere/operation/dump.h"
#include "tinysphere/operation/export.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::operation {

// Where the import goes, once it may. Opened after the keys lie in their folder.
struct ImportTarget {
  store::Database& database;
  store::ObjectStore& objects;
};

struct ImportOptions {
  std::string data;  // DATA; its keys come to DATA/keys.
  // Opens the dump from its beginning; it is read twice.
  std::function<base::Result<std::unique_ptr<DumpReader>>()> open_dump;
  // Opens or makes database and object store, at the last migration. They live until the import
  // ends.
  std::function<base::Result<ImportTarget>()> open_target;
  std::string by = "command line";  // For the audit.
};

base::Result<Moved> Import(base::FileSystem& fs, base::Clock& clock, const ImportOptions& options,
                           const Progress& progress);

// kConflict while an import into this data folder has not ended.
base::Status CheckNotImporting(base::FileSystem& fs, const std::string& data);

}  // namespace tinysphere::operation
