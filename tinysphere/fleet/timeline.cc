#include "tinysphere/fleet/timeline.h"

#include <cstdint>

#include "base/text.h"
#include "tinysphere/http/page.h"
#include "tinysphere/store/conditions.h"

namespace tinysphere::fleet {
namespace {

base::Json EntryJson(const store::Row& row) {
  const std::string ref = row.Text("ref");
  return base::Json::MakeObject({{"id", row.Int("entry_id")},
                                 {"at", base::FormatTime(row.Time("at"))},
                                 {"device_id", row.Text("device_id")},
                                 {"device_name", row.Text("device_name")},
                                 {"kind", row.Text("kind")},
                                 {"text", row.Text("text")},
                                 {"ref", ref.empty() ? base::Json() : base::Json(ref)}});
}

constexpr std::string_view kSelect =
    "SELECT t.entry_id, t.at, t.device_id, COALESCE(d.name, t.device_id) AS device_name, t.kind, "
    "t.text, t.ref FROM timeline t LEFT JOIN devices d ON d.device_id = t.device_id ";

}  // namespace

base::Status Note(store::Transaction& transaction, const Happening& happening) {
  const auto added = transaction.Execute(
      "INSERT INTO timeline (device_id, at, kind, text, ref) VALUES ($1, $2, $3, $4, $5)",
      {happening.device_id, happening.at, happening.kind, happening.text, happening.ref});
  if (!added.ok()) return added.error();
  return {};
}

base::Result<base::Json> ReadTimeline(store::Database& database, const http::Request& request,
                                      const std::string& device_id) {
  ASSIGN_OR_RETURN(const std::optional<http::Cursor> cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  store::Conditions where;
  if (cursor) where.Add("t.entry_id < ?", {cursor->number});
  if (!device_id.empty()) where.Add("t.device_id = ?", {device_id});
  const std::string last = where.Bind(limit + 1);
  ASSIGN_OR_RETURN(
      store::Rows rows,
      database.Query(base::StrCat(kSelect, where.sql(), " ORDER BY t.entry_id DESC LIMIT ", last),
                     where.params()));
  return http::MakePage(std::move(rows), limit, EntryJson, [](const store::Row& row) {
    return http::Cursor{.number = row.Int("entry_id"), .text = ""};
  });
}

base::Result<base::Json> RecentHappenings(store::Transaction& transaction, std::size_t count) {
  ASSIGN_OR_RETURN(
      const store::Rows rows,
      transaction.Query(std::string(kSelect) + "ORDER BY t.entry_id DESC LIMIT $1", {count}));
  base::Json::Array items;
  for (const store::Row& row : rows) items.push_back(EntryJson(row));
  return base::Json(std::move(items));
}

}  // namespace tinysphere::fleet
