#include "tinysphere/ingest/package_rows.h"

#include "base/text.h"

namespace tinysphere::ingest {

base::Status InsertPackage(store::Transaction& transaction, const PackageRow& row) {
  RETURN_IF_ERROR(
      transaction.Execute("INSERT INTO package_names (package_id, device_id, sha256, received_at) "
                          "VALUES ($1, $2, $3, $4)",
                          {row.package_id, row.device_id, row.sha256, row.received_at}));
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO packages (device_id, epoch, seq, package_id, type, bytes, sha256, object_key, "
      "bundle, created_at, received_at, state) "
      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 'stored')",
      {row.device_id, row.epoch, row.seq, row.package_id, row.type, row.bytes, row.sha256,
       row.object_key, row.bundle, row.created_at, row.received_at}));
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO package_counts (device_id, epoch, packages, bytes, seq_min, seq_max, "
      "duplicates, last_at) VALUES ($1, $2, 1, $3, $4, $4, 0, $5) "
      "ON CONFLICT (device_id, epoch) DO UPDATE SET packages = package_counts.packages + 1, "
      "bytes = package_counts.bytes + excluded.bytes, "
      "seq_min = CASE WHEN excluded.seq_min < package_counts.seq_min THEN excluded.seq_min "
      "ELSE package_counts.seq_min END, "
      "seq_max = CASE WHEN excluded.seq_max > package_counts.seq_max THEN excluded.seq_max "
      "ELSE package_counts.seq_max END, "
      "last_at = CASE WHEN excluded.last_at > package_counts.last_at THEN excluded.last_at "
      "ELSE package_counts.last_at END",
      {row.device_id, row.epoch, row.bytes, row.seq, row.received_at}));
  return {};
}

base::Status CountDuplicate(store::Transaction& transaction, const std::string& package_id) {
  ASSIGN_OR_RETURN(const auto row,
                   transaction.QueryOne(
                       base::StrCat("SELECT device_id, epoch FROM packages WHERE ", kWherePackage),
                       {package_id}));
  if (!row) return {};
  RETURN_IF_ERROR(transaction.Execute(
      base::StrCat("UPDATE packages SET duplicates = duplicates + 1 WHERE ", kWherePackage),
      {package_id}));
  RETURN_IF_ERROR(
      transaction.Execute("UPDATE package_counts SET duplicates = duplicates + 1 "
                          "WHERE device_id = $1 AND epoch = $2",
                          {row->Text("device_id"), row->Text("epoch")}));
  return {};
}

}  // namespace tinysphere::ingest
