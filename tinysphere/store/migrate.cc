#include "base/crypto.h"
#include "base/text.h"
#include "tinysphere/store/schema.h"

namespace tinysphere::store {

using base::Error;
using base::ErrorCode;

namespace {

std::string_view TextFor(Dialect dialect, const Migration& migration) {
  const bool is_own = dialect == Dialect::kPostgres && !migration.postgres.empty();
  return is_own ? migration.postgres : migration.sql;
}

// True if it was applied; false if another program did so since we looked.
base::Result<bool> Apply(Transaction& transaction, const Migration& migration, base::Time now) {
  ASSIGN_OR_RETURN(
      const auto known,
      transaction.QueryOne("SELECT number FROM migrations WHERE number = $1", {migration.number}));
  if (known) return false;
  const std::string_view text = TextFor(transaction.dialect(), migration);
  std::string_view rest = text;
  while (!base::Trim(rest).empty()) {
    const std::size_t end = rest.find(";\n");
    const std::string_view statement = base::Trim(rest.substr(0, end));
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 2);
    if (statement.empty()) continue;
    auto done = transaction.Execute(statement);
    if (!done.ok()) {
      return done.error().Within(
          base::StrCat("migration ", migration.number, " (", migration.name, ")"));
    }
  }
  const auto noted = transaction.Execute(
      "INSERT INTO migrations (number, name, sha256, applied_at) VALUES ($1, $2, $3, $4)",
      {migration.number, migration.name, base::Sha256Hex(base::AsBytes(text)), now});
  if (!noted.ok()) return noted.error();
  return true;
}

}  // namespace

base::Result<int> Migrate(Database& database, std::span<const Migration> migrations,
                          base::Time now) {
  RETURN_IF_ERROR(
      database.Execute("CREATE TABLE IF NOT EXISTS migrations (number BIGINT PRIMARY KEY, "
                       "name TEXT NOT NULL, sha256 TEXT NOT NULL, applied_at BIGINT NOT NULL)"));
  ASSIGN_OR_RETURN(const Rows applied,
                   database.Query("SELECT number, sha256 FROM migrations ORDER BY number"));
  if (applied.size() > migrations.size()) {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat("database: at migration ", applied.size(), ", this program knows ",
                              migrations.size(), "; use a newer one")};
  }
  for (std::size_t i = 0; i < applied.size(); ++i) {
    const Migration& ours = migrations[i];
    if (applied[i].Int("number") != ours.number ||
        applied[i].Text("sha256") !=
            base::Sha256Hex(base::AsBytes(TextFor(database.dialect(), ours)))) {
      return Error{ErrorCode::kCorrupt, base::StrCat("database: migration ", ours.number,
                                                     " was another one when it was applied")};
    }
  }
  int count = 0;
  for (const Migration& migration : migrations.subspan(applied.size())) {
    ASSIGN_OR_RETURN(const bool is_applied, database.Write([&](Transaction& transaction) {
      return Apply(transaction, migration, now);
    }));
    if (is_applied) ++count;
  }
  return count;
}

base::Result<std::optional<std::string>> ReadSetting(Transaction& transaction,
                                                     std::string_view name) {
  ASSIGN_OR_RETURN(const std::optional<Row> row,
                   transaction.QueryOne("SELECT value FROM settings WHERE name = $1", {name}));
  if (!row) return std::optional<std::string>();
  return std::optional<std::string>(row->Text("value"));
}

base::Status WriteSetting(Transaction& transaction, std::string_view name, std::string_view value) {
  RETURN_IF_ERROR(
      transaction.Execute("INSERT INTO settings (name, value) VALUES ($1, $2) "
                          "ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                          {name, value}));
  return {};
}

}  // namespace tinysphere::store
