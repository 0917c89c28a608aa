// PostgreSQL: one writer thread, a pool of sessions for reading, one for writes beside the writer.
//
// Writes that wait while one commits run together in the next transaction, each in its own
// savepoint, and share its flush (group commit). That transaction holds an advisory lock of the
// database, so that the writers of all processes are one writer: a work sees a state that only it
// changes. Readers are REPEATABLE READ, so they see one snapshot. Sessions are opened when needed
// and anew after the server was away; what was under way then fails with kUnavailable.
// Sessions must be the program's own: a pooler in front has to pool by session.

#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::postgres {

struct Options {
  std::string url;  // postgresql://USER:PASSWORD@HOST:PORT/NAME, and what else libpq takes.
  int readers = 6;  // Sessions for reading at most,
  int besides = 4;  // and for writes beside the writer.
  int batch_max =
      48;  // Writes committed together at most; a transaction tracks 64 savepoints well.
  base::Duration read_max{30'000};           // A statement that reads for longer is ended.
  base::Duration wait_for_lock_max{10'000};  // For another process's write to end.
};

// kUnavailable if the server does not answer, kInvalidArgument for an URL that is none.
base::Result<std::unique_ptr<store::Database>> OpenDatabase(const Options& options);

}  // namespace tinysphere::postgres
