// Page: one stretch of a long list, and where the next begins.
//
//   {"items": [...], "next": "..."}    next is null on the last page
//
// A cursor names the last item given by what the list is ordered by, so that items which arrive
// meanwhile neither push others out nor show them twice.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/json.h"
#include "base/result.h"
#include "base/text.h"
#include "tinysphere/http/message.h"

namespace tinysphere::http {

struct Cursor {
  std::int64_t number = 0;  // A time, a row's number.
  std::string text;         // An id or a name.
};

inline std::string WriteCursor(const Cursor& cursor) {
  const std::string text = base::StrCat(cursor.number, "~", cursor.text);
  return base::Base64UrlEncode(base::AsBytes(text));
}

// ?cursor=; nullopt where there is none. kInvalidArgument if it is none of ours.
inline base::Result<std::optional<Cursor>> ReadCursor(const Request& request) {
  const std::string_view given = request.Query("cursor");
  if (given.empty()) return std::optional<Cursor>();
  const base::Error not_ours{base::ErrorCode::kInvalidArgument, "cursor: not one of this list"};
  const base::Result<base::Bytes> bytes = base::Base64UrlDecode(given);
  if (!bytes.ok()) return not_ours;
  const std::string_view text = base::AsText(*bytes);
  const std::size_t mark = text.find('~');
  if (mark == std::string_view::npos) return not_ours;
  const base::Result<std::int64_t> number = base::ParseInt(text.substr(0, mark));
  if (!number.ok()) return not_ours;
  return std::optional<Cursor>(
      Cursor{.number = *number, .text = std::string(text.substr(mark + 1))});
}

// `rows` were asked for with one more than `limit`; `item` turns one into JSON, `cursor` names one.
template <typename T, typename ToItem, typename ToCursor>
base::Json MakePage(std::vector<T> rows, std::size_t limit, ToItem item, ToCursor cursor) {
  base::Json next;
  if (rows.size() > limit) {
    rows.erase(rows.begin() + static_cast<std::ptrdiff_t>(limit), rows.end());
    next = WriteCursor(cursor(rows.back()));
  }
  base::Json::Array items;
  for (const T& row : rows) items.push_back(item(row));
  return base::Json::MakeObject({{"items", std::move(items)}, {"next", std::move(next)}});
}

}  // namespace tinysphere::http
