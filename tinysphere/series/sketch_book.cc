#include "tinysphere/series/sketch_book.h"

#include <limits>
#include <utility>

#include "base/text.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/http/page.h"

namespace tinysphere::series {

using base::Error;
using base::ErrorCode;
using base::Json;
using http::Access;
using http::Answer;
using http::BodyRule;
using http::Method;
using store::Row;

namespace {

constexpr std::int64_t kDayMs = 24LL * 60 * 60 * 1000;

std::int64_t DayOf(base::Time at) {
  const std::int64_t ms = at.time_since_epoch().count();
  return ms - ((ms % kDayMs) + kDayMs) % kDayMs;
}

// Counts only: the moments of features are for programs.
Json SketchJson(const protocol::Sketches& sketches) {
  Json::Array samples(sketches.samples.begin(), sketches.samples.end());
  Json::Array ranks;
  for (const protocol::Sketches::Ranks& signal : sketches.ranks) {
    Json::Array counts;
    for (const auto& row : signal.counts) counts.emplace_back(Json::Array(row.begin(), row.end()));
    ranks.push_back(Json::MakeObject({{"signal", signal.signal}, {"counts", std::move(counts)}}));
  }
  return Json::MakeObject({{"samples", std::move(samples)},
                           {"ranks", std::move(ranks)},
                           {"dims", static_cast<std::uint64_t>(sketches.dims)}});
}

base::Result<Json> RowJson(const Row& row, bool is_day) {
  const std::string bundle = row.Text("bundle");
  Json item = Json::MakeObject({{"at", base::FormatTime(row.Time("at"))},
                                {"bundle", bundle.empty() ? Json() : Json(bundle)},
                                {"samples", row.Int("samples")},
                                {"bytes", row.Int("bytes")}});
  if (is_day) {
    item.Set("sketches", row.Int("sketches"));
  } else {
    item.Set("package_id", row.Text("package_id"));
    item.Set("first_index", row.Int("first_index"));
    item.Set("last_index", row.Int("last_index"));
  }
  const base::Bytes content = row.Blob("content");
  ASSIGN_OR_RETURN(const protocol::Sketches sketches, protocol::ParseSketches(content));
  item.Set("counts", SketchJson(sketches));
  return item;
}

}  // namespace

base::Status SketchBook::Take(store::Transaction& transaction, const SketchOrigin& origin,
                              const protocol::Sketches& sketches, base::ByteView file) {
  ASSIGN_OR_RETURN(
      const std::int64_t added,
      transaction.Execute(
          "INSERT INTO sketches (device_id, epoch, seq, bundle, package_id, at, first_index, "
          "last_index, samples, bytes, content) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, "
          "$11) ON CONFLICT (device_id, epoch, seq) DO NOTHING",
          {origin.device_id, origin.epoch, origin.seq, sketches.bundle, origin.package_id,
           origin.at, static_cast<std::int64_t>(sketches.first_index),
           static_cast<std::int64_t>(sketches.last_index), sketches.total(), file.size(),
           base::Bytes(file.begin(), file.end())}));
  if (added == 0) return {};
  const std::int64_t day = DayOf(origin.at);
  ASSIGN_OR_RETURN(const auto standing,
                   transaction.QueryOne("SELECT content FROM sketch_days WHERE device_id = $1 AND "
                                        "bundle = $2 AND day = $3",
                                        {origin.device_id, sketches.bundle, day}));
  protocol::Sketches sum = sketches;
  base::Bytes content(file.begin(), file.end());
  if (standing) {
    const base::Bytes before = standing->Blob("content");
    ASSIGN_OR_RETURN(sum, protocol::ParseSketches(before));
    RETURN_IF_ERROR(protocol::Merge(sketches, sum));
    content = protocol::WriteSketches(sum);
  }
  const std::size_t bytes = content.size();
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO sketch_days (device_id, bundle, day, sketches, samples, bytes, content) "
      "VALUES ($1, $2, $3, 1, $4, $5, $6) ON CONFLICT (device_id, bundle, day) DO UPDATE SET "
      "sketches = sketch_days.sketches + 1, samples = excluded.samples, bytes = excluded.bytes, "
      "content = excluded.content",
      {origin.device_id, sketches.bundle, day, sum.total(), bytes, std::move(content)}));
  return {};
}

base::Status SketchBook::Forget(store::Database& database, base::Time before) {
  RETURN_IF_ERROR(database.Execute(
      "DELETE FROM sketches WHERE (device_id, epoch, seq) IN (SELECT device_id, epoch, seq FROM "
      "sketches WHERE at < $1 LIMIT 10000)",
      {before}));
  return {};
}

base::Result<Json> SketchBook::List(const http::Request& request, const std::string& device_id) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(50, 200);
  const std::string_view period = request.Query("period");
  if (!period.empty() && period != "day" && period != "package") {
    return Error{ErrorCode::kInvalidArgument, "period: day or package"};
  }
  const bool is_day = period != "package";
  const std::int64_t before = cursor ? cursor->number : std::numeric_limits<std::int64_t>::max();
  const std::string text = cursor ? cursor->text : "";
  ASSIGN_OR_RETURN(
      const store::Rows rows,
      is_day ? database_.Query("SELECT day AS at, bundle, sketches, samples, bytes, content, "
                               "bundle AS name FROM sketch_days WHERE device_id = $1 AND "
                               "(day < $2 OR (day = $2 AND bundle < $3)) "
                               "ORDER BY day DESC, bundle DESC LIMIT $4",
                               {device_id, before, text, limit + 1})
             : database_.Query("SELECT at, bundle, package_id, first_index, last_index, samples, "
                               "bytes, content, package_id AS name FROM sketches "
                               "WHERE device_id = $1 AND (at < $2 OR (at = $2 AND "
                               "package_id < $3)) ORDER BY at DESC, package_id DESC LIMIT $4",
                               {device_id, before, text, limit + 1}));
  std::vector<std::pair<http::Cursor, Json>> items;
  for (const Row& row : rows) {
    ASSIGN_OR_RETURN(Json item, RowJson(row, is_day));
    items.emplace_back(http::Cursor{.number = row.Int("at"), .text = row.Text("name")},
                       std::move(item));
  }
  return http::MakePage(
      std::move(items), limit, [](const auto& item) { return item.second; },
      [](const auto& item) { return item.first; });
}

base::Result<http::Response> SketchBook::Day(const std::string& device_id,
                                             const std::string& bundle, std::string_view day) {
  const auto at = base::ParseTime(base::StrCat(day, "T00:00:00.000Z"));
  if (!at.ok()) return Error{ErrorCode::kInvalidArgument, "day: YYYY-MM-DD is expected"};
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne("SELECT content FROM sketch_days WHERE device_id = $1 AND "
                                      "bundle = $2 AND day = $3",
                                      {device_id, bundle, *at}));
  if (!row) {
    return Error{ErrorCode::kNotFound,
                 base::StrCat(device_id, " sent no sketches of that bundle on ", day)};
  }
  const base::Bytes content = row->Blob("content");
  return http::Response::Text(200, "application/octet-stream",
                              std::string(content.begin(), content.end()));
}

void SketchBook::AddRoutes(http::Router& router) {
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices/{device_id}/sketches",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler =
                  [this](http::Request& request) {
                    return Answer(List(request, request.Param("device_id")));
                  },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices/{device_id}/sketches/{day}/{bundle}",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler =
                  [this](http::Request& request) {
                    return Day(request.Param("device_id"), request.Param("bundle"),
                               request.Param("day"));
                  },
              .too_large = nullptr});
}

}  // namespace tinysphere::series
