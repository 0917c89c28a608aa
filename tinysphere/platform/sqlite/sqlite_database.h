// SQLite: one file in WAL mode, synchronous=FULL; one writer thread, a few readers.
//
// Writes that wait while one commits are run together in the next transaction, each in its own
// savepoint, and share its flush (group commit).

#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::sqlite {

struct Options {
  std::string path;
  int readers = 4;
  int batch_max = 64;  // Writes committed together at most.
};

// Creates the file if need be. kUnavailable if another process holds it for writing beyond 10 s.
base::Result<std::unique_ptr<store::Database>> OpenDatabase(const Options& options);

}  // namespace tinysphere::sqlite
