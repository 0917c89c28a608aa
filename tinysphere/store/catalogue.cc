#include "tinysphere/store/catalogue.h"

#include <algorithm>
#include <map>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace tinysphere::store {

namespace {

constexpr std::string_view kSqliteTables =
    "SELECT name AS table_name FROM sqlite_master WHERE type = 'table' AND "
    "name NOT LIKE 'sqlite_%' ORDER BY name";
constexpr std::string_view kSqliteColumns =
    "SELECT name AS column_name, pk AS key_place FROM pragma_table_info($1) ORDER BY cid";

constexpr std::string_view kPostgresTables =
    "SELECT CAST(c.relname AS TEXT) AS table_name FROM pg_class c "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition "
    "ORDER BY 1";
constexpr std::string_view kPostgresColumns =
    "SELECT CAST(a.attname AS TEXT) AS column_name, CAST(COALESCE(array_position("
    "CAST(i.indkey AS smallint[]), a.attnum) + 1, 0) AS BIGINT) AS key_place "
    "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid "
    "JOIN pg_namespace n ON n.oid = c.relnamespace "
    "LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary "
    "WHERE n.nspname = current_schema() AND c.relname = $1 AND a.attnum > 0 AND "
    "NOT a.attisdropped ORDER BY a.attnum";

std::string Join(const std::vector<std::string>& names) {
  std::string joined;
  for (const std::string& name : names) joined += base::StrCat(joined.empty() ? "" : ", ", name);
  return joined;
}

}  // namespace

base::Result<std::vector<Table>> Tables(Transaction& transaction) {
  const bool is_postgres = transaction.dialect() == Dialect::kPostgres;
  ASSIGN_OR_RETURN(const Rows names,
                   transaction.Query(is_postgres ? kPostgresTables : kSqliteTables));
  std::vector<Table> tables;
  for (const Row& row : names) {
    Table table{.name = row.Text("table_name"), .columns = {}, .key = {}};
    ASSIGN_OR_RETURN(
        const Rows columns,
        transaction.Query(is_postgres ? kPostgresColumns : kSqliteColumns, {table.name}));
    std::map<std::int64_t, std::string> key;
    for (const Row& column : columns) {
      table.columns.push_back(column.Text("column_name"));
      const std::int64_t place = column.Int("key_place");
      if (place > 0) key.emplace(place, table.columns.back());
    }
    for (auto& [place, column] : key) table.key.push_back(std::move(column));
    tables.push_back(std::move(table));
  }
  return tables;
}

base::Result<Rows> ReadTable(Transaction& transaction, const Table& table, const Params& after,
                             std::size_t limit) {
  CHECK(!table.key.empty());
  const std::string key = Join(table.key);
  std::string sql = base::StrCat("SELECT ", Join(table.columns), " FROM ", table.name);
  Params params = after;
  if (!after.empty()) {
    CHECK(after.size() == table.key.size());
    std::string marks;
    for (std::size_t i = 0; i < after.size(); ++i) {
      marks += base::StrCat(i == 0 ? "$" : ", $", i + 1);
    }
    sql += base::StrCat(" WHERE (", key, ") > (", marks, ")");
  }
  sql += base::StrCat(" ORDER BY ", key, " LIMIT $", after.size() + 1);
  params.emplace_back(limit);
  return transaction.Query(sql, params);
}

}  // namespace tinysphere::store
