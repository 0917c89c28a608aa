// Every Database there is, for contract suites: each with a place that is opened again and again.

#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tests {

// Where a database lives; gone with this.
class DatabasePlace {
 public:
  virtual ~DatabasePlace() = default;
  virtual base::Result<std::unique_ptr<tinysphere::store::Database>> Open() = 0;
};

struct DatabaseKind {
  std::string name;
  // Null where this kind cannot be tested here; `why_not` says why.
  std::function<std::unique_ptr<DatabasePlace>()> make;
  std::string why_not;
};

std::vector<DatabaseKind> DatabaseKinds();

}  // namespace tests
