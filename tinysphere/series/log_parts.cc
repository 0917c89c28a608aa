#include "tinysphere/series/log_parts.h"

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/http/page.h"
#include "tinysphere/store/object_key.h"
#include "tinysphere/store/schema.h"

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

constexpr std::size_t kTailLinesMax = 1000;
constexpr std::size_t kTailLines = 100;
constexpr std::uint64_t kTailBytesMax = 1u << 20;  // Read for a tail, of all parts together.
constexpr std::size_t kTailLineMax = 16u << 10;
constexpr std::size_t kTailParts = 64;

// What a line says of its time, if anything.
std::optional<base::Time> TimeOf(const std::string& line) {
  const auto json = Json::Parse(line, {.bytes_max = 64u << 10, .depth_max = 16});
  if (!json.ok()) return std::nullopt;
  const Json* at = json->Find("at");
  if (at == nullptr || !at->is_string()) return std::nullopt;
  const auto time = base::ParseTime(at->as_string());
  return time.ok() ? std::optional(*time) : std::nullopt;
}

Json OptionalTime(const Row& row, std::string_view column) {
  const auto time = row.OptionalTime(column);
  return time ? Json(base::FormatTime(*time)) : Json();
}

Json PartJson(const Row& row) {
  return Json::MakeObject({{"boot", row.Text("boot")},
                           {"seq", row.Int("seq")},
                           {"package_id", row.Text("package_id")},
                           {"lines", row.Int("lines")},
                           {"bytes", row.Int("bytes")},
                           {"first_at", OptionalTime(row, "first_at")},
                           {"last_at", OptionalTime(row, "last_at")},
                           {"received_at", base::FormatTime(row.Time("received_at"))}});
}

// A line as it may be shown: JSON if it is that, else text that is sure to be UTF-8.
Json LineJson(std::string_view line) {
  if (line.size() > kTailLineMax) line = line.substr(0, kTailLineMax);
  auto json = Json::Parse(line, {.bytes_max = kTailLineMax, .depth_max = 16});
  if (json.ok()) return std::move(json).value();
  std::string plain;
  for (const char c : line) {
    const auto byte = static_cast<unsigned char>(c);
    plain += byte >= 0x20 && byte < 0x7f ? c : '?';
  }
  return Json(std::move(plain));
}

base::Result<std::string> ReadStretch(const base::ReadableFile& file, std::uint64_t offset,
                                      std::uint64_t bytes) {
  std::string text(bytes, '\0');
  std::uint64_t have = 0;
  while (have < bytes) {
    const std::span<std::uint8_t> rest(reinterpret_cast<std::uint8_t*>(text.data()) + have,
                                       bytes - have);
    ASSIGN_OR_RETURN(const std::size_t count, file.ReadAt(offset + have, rest));
    if (count == 0) break;
    have += count;
  }
  text.resize(have);
  return text;
}

}  // namespace

std::string LogPartKey(std::string_view device_id, std::string_view boot, std::uint64_t seq) {
  return base::StrCat(store::kDataLogsBucket, "/", store::IdKeyPart(device_id), "/",
                      store::TextKeyPart(boot), "/", seq, ".jsonl");
}

void LogPartWriter::Look(base::ByteView bytes) {
  for (const std::uint8_t byte : bytes) {
    if (byte == '\n') {
      lines_ += 1;
      if (lines_ == 1) first_line_ = line_;
      std::swap(last_line_, line_);
      line_.clear();
      is_line_open_ = false;
      continue;
    }
    is_line_open_ = true;
    if (line_.size() < kLookedAtMax) line_ += static_cast<char>(byte);
  }
}

base::Status LogPartWriter::Append(base::ByteView bytes) {
  if (bytes.empty()) return {};
  if (writer_ == nullptr) {
    ASSIGN_OR_RETURN(writer_, objects_.Put(object_key_));
  }
  Look(bytes);
  bytes_ += bytes.size();
  return writer_->Append(bytes);
}

base::Status LogPartWriter::EndFile() {
  if (!is_line_open_) return {};
  static constexpr std::string_view kLineFeed = "\n";
  return Append(base::AsBytes(kLineFeed));
}

base::Status LogPartWriter::Commit(LogPart& part) {
  CHECK(writer_ != nullptr);
  part.object_key = object_key_;
  part.lines = lines_;
  part.bytes = bytes_;
  part.first_at = TimeOf(first_line_);
  part.last_at = TimeOf(last_line_);
  return writer_->Commit();
}

base::Status LogParts::CheckFree(const LogPart& part) {
  ASSIGN_OR_RETURN(const auto row, database_.QueryOne("SELECT package_id FROM logs_index WHERE "
                                                      "device_id = $1 AND boot = $2 AND seq = $3",
                                                      {part.device_id, part.boot, part.seq}));
  if (!row || row->Text("package_id") == part.package_id) return {};
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat("log part ", part.boot, "/", part.seq, ": package ",
                            row->Text("package_id"), " lies there already")};
}

base::Status LogParts::Take(store::Transaction& transaction, const LogPart& part) {
  RETURN_IF_ERROR(transaction.Execute(
      "INSERT INTO logs_index (device_id, boot, seq, package_id, lines, bytes, first_at, last_at, "
      "received_at, object_key) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
      "ON CONFLICT (device_id, boot, seq) DO NOTHING",
      {part.device_id, part.boot, part.seq, part.package_id, part.lines, part.bytes, part.first_at,
       part.last_at, part.received_at, part.object_key}));
  return {};
}

base::Result<Json> LogParts::List(const http::Request& request, const std::string& device_id) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  const std::int64_t before = cursor ? cursor->number : std::numeric_limits<std::int64_t>::max();
  const std::string boot = cursor ? cursor->text : "";
  ASSIGN_OR_RETURN(
      store::Rows rows,
      database_.Query("SELECT boot, seq, package_id, lines, bytes, first_at, last_at, received_at "
                      "FROM logs_index WHERE device_id = $1 AND (seq < $2 OR (seq = $2 AND "
                      "boot < $3)) ORDER BY seq DESC, boot DESC LIMIT $4",
                      {device_id, before, boot, limit + 1}));
  return http::MakePage(std::move(rows), limit, PartJson, [](const Row& row) {
    return http::Cursor{.number = row.Int("seq"), .text = row.Text("boot")};
  });
}

base::Result<http::Response> LogParts::Content(const http::Request& request,
                                               const std::string& device_id,
                                               const std::string& boot, std::int64_t seq) {
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne("SELECT object_key, package_id FROM logs_index WHERE "
                                      "device_id = $1 AND boot = $2 AND seq = $3",
                                      {device_id, boot, seq}));
  if (!row) {
    return Error{ErrorCode::kNotFound,
                 base::StrCat("no part ", seq, " of the log of ", device_id, " and that start")};
  }
  ASSIGN_OR_RETURN(auto file, objects_.Get(row->Text("object_key")));
  return http::Response::File(request, std::shared_ptr<const base::ReadableFile>(std::move(file)),
                              "application/jsonl", row->Text("package_id"),
                              /*is_immutable=*/true);
}

base::Result<Json> LogParts::Tail(const std::string& device_id, std::size_t count) {
  ASSIGN_OR_RETURN(const store::Rows rows,
                   database_.Query("SELECT object_key, bytes FROM logs_index WHERE device_id = $1 "
                                   "ORDER BY seq DESC, boot DESC LIMIT $2",
                                   {device_id, kTailParts}));
  std::deque<Json> lines;
  std::uint64_t left = kTailBytesMax;
  for (const Row& row : rows) {
    if (lines.size() >= count || left == 0) break;
    const auto bytes = static_cast<std::uint64_t>(row.Int("bytes"));
    const std::uint64_t from = bytes > left ? bytes - left : 0;
    const auto file = objects_.Get(row.Text("object_key"));
    if (!file.ok()) {
      if (file.error().code == ErrorCode::kNotFound) continue;  // Its time was over.
      return file.error();
    }
    ASSIGN_OR_RETURN(const std::string text, ReadStretch(**file, from, bytes - from));
    left -= std::min<std::uint64_t>(left, text.size());
    const std::vector<std::string_view> parts = base::Split(text, '\n');
    for (auto line = parts.rbegin(); line != parts.rend() && lines.size() < count; ++line) {
      const bool is_torn = from > 0 && std::next(line) == parts.rend();
      if (!line->empty() && !is_torn) lines.push_front(LineJson(*line));
    }
  }
  return Json::MakeObject({{"lines", Json::Array(lines.begin(), lines.end())}});
}

void LogParts::AddRoutes(http::Router& router) {
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices/{device_id}/logs",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler =
                  [this](http::Request& request) {
                    return Answer(List(request, request.Param("device_id")));
                  },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices/{device_id}/logs/tail",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler =
                  [this](http::Request& request) {
                    return Answer(
                        Tail(request.Param("device_id"), request.Limit(kTailLines, kTailLinesMax)));
                  },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices/{device_id}/logs/{boot}/{seq}",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler = [this](http::Request& request) -> base::Result<http::Response> {
                const auto seq = base::ParseInt(request.Param("seq"));
                if (!seq.ok()) {
                  return Error{ErrorCode::kNotFound, "no such part of a log"};
                }
                return Content(request, request.Param("device_id"), request.Param("boot"), *seq);
              },
              .too_large = nullptr});
}

}  // namespace tinysphere::series
