// Fsck: whether database and object store say the same.
//
// Rows without their object, objects without a row, contents that are not what their row says. It
// looks and changes nothing, and may look while the server runs: what seems wrong is looked at a
// second time, and what was put within the last hour may still get its row. One device's rows lie
// in memory at a time.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/store/database.h"
#include "tinysphere/store/object_store.h"

namespace tinysphere::upkeep {

struct Problem {
  enum class Kind {
    kMissing,  // A row points to it; it is not there.
    kOrphan,   // It is there; no row points to it. Room is lost, nothing else.
    kDamaged,  // Its size or SHA-256 is not what the row says.
  };
  Kind kind = Kind::kMissing;
  std::string object_key;
  std::string detail;  // What points to it, or how it differs.
};
const char* Name(Problem::Kind kind);  // "missing"

struct FsckOptions {
  bool reads_contents = true;  // Hashes every content whose SHA-256 is known.
  base::Duration grace{60LL * 60 * 1000};
  std::function<void(const Problem&)> found = [](const Problem&) {};
};

struct FsckCounts {
  std::uint64_t rows = 0;  // That point to an object.
  std::uint64_t objects = 0;
  std::uint64_t bytes = 0;
  std::uint64_t hashed = 0;
  std::uint64_t missing = 0;
  std::uint64_t orphans = 0;
  std::uint64_t damaged = 0;

  std::uint64_t problems() const { return missing + orphans + damaged; }
};

// An error where it could not look.
base::Result<FsckCounts> Fsck(store::Database& database, store::ObjectStore& objects,
                              base::Clock& clock, const FsckOptions& options);

}  // namespace tinysphere::upkeep
