// Audit: who changed what, kept with the change itself.

#pragma once

#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "tinysphere/store/database.h"

namespace tinysphere::access {

struct AuditEntry {
  base::Time at{};
  std::string who;      // User, "token:<name>", device id or "command line".
  std::string action;   // "user.create", "rollout.start", ...
  std::string subject;  // On what.
  std::string detail;   // Never a secret.
};

// In the transaction of the change.
base::Status WriteAudit(store::Transaction& transaction, const AuditEntry& entry);
base::Result<std::vector<AuditEntry>> ReadAudit(store::Database& database, std::size_t limit);

}  // namespace tinysphere::access
