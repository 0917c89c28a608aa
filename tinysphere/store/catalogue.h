// Catalogue: which tables a database has, asked of the database itself, so that what handles all of
// them (export, import) needs no list of its own. Partitions belong to their table.

#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::store {

struct Table {
  std::string name;
  std::vector<std::string> columns;  // In the order in which they were made.
  std::vector<std::string> key;      // Of the primary key, in its order; empty if there is none.
};

// Ordered by name.
base::Result<std::vector<Table>> Tables(Transaction& transaction);

// Rows of `table` in the order of its key, those after the key `after` (empty: from the beginning),
// at most `limit`. REQUIRES: the table has a key.
base::Result<Rows> ReadTable(Transaction& transaction, const Table& table, const Params& after,
                             std::size_t limit);

}  // namespace tinysphere::store
