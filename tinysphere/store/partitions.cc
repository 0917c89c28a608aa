#include "tinysphere/store/partitions.h"

#include <array>
#include <chrono>
#include <cstdio>
#include <string>
#include <string_view>

#include "base/text.h"

namespace tinysphere::store {

namespace {

using std::chrono::floor;
using std::chrono::months;
using std::chrono::sys_days;
using std::chrono::year_month;

struct Partitioned {
  std::string_view table;
  std::string_view column;
};
constexpr std::array kPartitioned = {Partitioned{"packages", "received_at"},
                                     Partitioned{"metrics_points", "at"}};

year_month MonthOf(base::Time time) {
  const std::chrono::sys_time<std::chrono::milliseconds> at(time.time_since_epoch());
  const std::chrono::year_month_day day(floor<std::chrono::days>(at));
  return {day.year(), day.month()};
}

std::int64_t StartOf(year_month month) {
  const sys_days first(month / 1);
  return std::chrono::duration_cast<std::chrono::milliseconds>(first.time_since_epoch()).count();
}

// "packages_2026_11"
std::string PartOf(std::string_view table, year_month month) {
  char text[32];
  std::snprintf(text, sizeof text, "_%04d_%02u", static_cast<int>(month.year()),
                static_cast<unsigned>(month.month()));
  return std::string(table) + text;
}

base::Status EnsurePart(Transaction& transaction, const Partitioned& one, year_month month) {
  const std::string part = PartOf(one.table, month);
  ASSIGN_OR_RETURN(const auto known,
                   transaction.QueryOne("SELECT relname FROM pg_class WHERE oid = "
                                        "to_regclass(CAST($1 AS TEXT))",
                                        {part}));
  if (known) return {};
  const std::int64_t start = StartOf(month);
  const std::int64_t end = StartOf(month + months(1));
  // Rows of that month that lie in the rest already (of a clock that is months ahead) move into
  // it; a part over them could not be made.
  ASSIGN_OR_RETURN(
      const auto row,
      transaction.QueryOne(base::StrCat("SELECT 1 AS n FROM ", one.table, "_rest WHERE ",
                                        one.column, " >= $1 AND ", one.column, " < $2 LIMIT 1"),
                           {start, end}));
  if (row) {
    RETURN_IF_ERROR(transaction.Execute(
        base::StrCat("CREATE TABLE ", part, " (LIKE ", one.table, " INCLUDING ALL)")));
    RETURN_IF_ERROR(transaction.Execute(
        base::StrCat("WITH gone AS (DELETE FROM ", one.table, "_rest WHERE ", one.column,
                     " >= $1 AND ", one.column, " < $2 RETURNING *) INSERT INTO ", part,
                     " SELECT * FROM gone"),
        {start, end}));
    RETURN_IF_ERROR(
        transaction.Execute(base::StrCat("ALTER TABLE ", one.table, " ATTACH PARTITION ", part,
                                         " FOR VALUES FROM (", start, ") TO (", end, ")")));
    return {};
  }
  RETURN_IF_ERROR(
      transaction.Execute(base::StrCat("CREATE TABLE ", part, " PARTITION OF ", one.table,
                                       " FOR VALUES FROM (", start, ") TO (", end, ")")));
  return {};
}

}  // namespace

base::Status EnsurePartitions(Database& database, base::Time from, base::Time to) {
  if (database.dialect() != Dialect::kPostgres) return {};
  for (year_month month = MonthOf(from); month <= MonthOf(to); month += months(1)) {
    const base::Status made = database.Write([&](Transaction& transaction) -> base::Status {
      for (const Partitioned& one : kPartitioned) {
        RETURN_IF_ERROR(EnsurePart(transaction, one, month));
      }
      return {};
    });
    if (!made.ok()) return made;
  }
  return {};
}

base::Status EnsurePartitions(Database& database, base::Time now) {
  constexpr std::chrono::hours kMonth{31 * 24};
  return EnsurePartitions(database, now - kMonth, now + 2 * kMonth);
}

base::Status ForgetMetricsBefore(Database& database, base::Time before) {
  if (database.dialect() == Dialect::kPostgres) {
    // Whole months that are over by then; those of two years at most, the rest row by row.
    const year_month last = MonthOf(before);
    const base::Status dropped = database.Write([&](Transaction& transaction) -> base::Status {
      for (year_month month = last - months(24); month < last; month += months(1)) {
        RETURN_IF_ERROR(transaction.Execute(
            base::StrCat("DROP TABLE IF EXISTS ", PartOf("metrics_points", month))));
      }
      return {};
    });
    if (!dropped.ok()) return dropped;
  }
  RETURN_IF_ERROR(database.Execute("DELETE FROM metrics_points WHERE at < $1", {before}));
  return {};
}

}  // namespace tinysphere::store
