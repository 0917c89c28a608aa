#include "tinysphere/access/audit.h"

namespace tinysphere::access {

base::Status WriteAudit(store::Transaction& transaction, const AuditEntry& entry) {
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO audit (at, who, action, subject, detail) VALUES ($1, $2, $3, $4, $5)",
      {entry.at, entry.who, entry.action, entry.subject, entry.detail}));
  return {};
}

base::Result<std::vector<AuditEntry>> ReadAudit(store::Database& database, std::size_t limit) {
  ASSIGN_OR_RETURN(const store::Rows rows,
                   database.Query("SELECT at, who, action, subject, detail FROM audit "
                                  "ORDER BY audit_id DESC LIMIT $1",
                                  {limit}));
  std::vector<AuditEntry> entries;
  for (const store::Row& row : rows) {
    entries.push_back({.at = row.Time("at"),
                       .who = row.Text("who"),
                       .action = row.Text("action"),
                       .subject = row.Text("subject"),
                       .detail = row.Text("detail")});
  }
  return entries;
}

}  // namespace tinysphere::access
