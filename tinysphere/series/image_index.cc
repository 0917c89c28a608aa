#include "tinysphere/series/image_index.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "base/text.h"
#include "tinysphere/http/answer.h"
#include "tinysphere/http/page.h"
#include "tinysphere/series/plain_text.h"
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

constexpr std::size_t kLabelBytesMax = 256;
constexpr std::string_view kUnknown = "unknown";

// "images/000000012345_drift.jpg" -> 12345 and "drift".
struct PictureName {
  std::optional<std::int64_t> index;
  std::string reason;
};

PictureName ReadName(std::string_view path) {
  PictureName name;
  path = path.substr(path.rfind('/') + 1);
  path = path.substr(0, path.rfind('.'));
  const std::size_t mark = path.find('_');
  const auto index = base::ParseInt(path.substr(0, mark));
  if (!index.ok()) return name;
  name.index = *index;
  if (mark != std::string_view::npos) name.reason = path.substr(mark + 1);
  return name;
}

Json ImageJson(const Row& row) {
  const std::string reason = row.Text("reason");
  const std::string bundle = row.Text("bundle");
  return Json::MakeObject({{"sample_id", row.Text("sample_id")},
                           {"label", row.Text("label")},
                           {"at", base::FormatTime(row.Time("at"))},
                           {"index", row.OptionalInt("sample_index")},
                           {"confidence", row.OptionalDouble("confidence")},
                           {"distance", row.OptionalDouble("distance")},
                           {"reason", reason.empty() ? Json() : Json(reason)},
                           {"bundle", bundle.empty() ? Json() : Json(bundle)},
                           {"bytes", row.Int("bytes")},
                           {"package_id", row.Text("package_id")}});
}

base::Result<base::Time> TimeOr(const http::Request& request, std::string_view name,
                                base::Time otherwise) {
  const std::string_view text = request.Query(name);
  if (text.empty()) return otherwise;
  const auto time = base::ParseTime(text);
  if (!time.ok()) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat(name, ": ", time.error().message)};
  }
  return *time;
}

}  // namespace

std::string ImageKey(const SampledImage& image) {
  return base::StrCat(store::kPredictionImagesBucket, "/", store::IdKeyPart(image.device_id), "/",
                      store::TextKeyPart(image.label), "/", store::DayKeyPart(image.at), "/",
                      store::IdKeyPart(image.sample_id), ".jpg");
}

base::Result<PredictionLines> PredictionLines::Parse(std::string_view jsonl) {
  PredictionLines read;
  std::size_t number = 0;
  for (const std::string_view text : base::Split(jsonl, '\n')) {
    number += 1;
    if (text.empty()) continue;
    const std::string where = base::StrCat("predictions.jsonl: line ", number);
    auto json = Json::Parse(text, {.bytes_max = 64u << 10, .depth_max = 8});
    if (!json.ok()) return json.error().Within(where);
    base::JsonReader reader(*json, where);
    Line line;
    line.index = reader.Int("index", {.min = 0});
    line.prediction = PlainText(reader.String("prediction", {.bytes_max = kLabelBytesMax}));
    line.confidence = reader.OptionalDouble("confidence");
    line.distance = reader.OptionalDouble("distance");
    if (const auto at = reader.OptionalString("at")) {
      const auto time = base::ParseTime(*at);
      if (time.ok()) {
        line.at = *time;
      } else {
        reader.Refuse("at", "is no time");
      }
    }
    RETURN_IF_ERROR(reader.status());
    read.lines_.push_back(std::move(line));
  }
  std::sort(read.lines_.begin(), read.lines_.end(),
            [](const Line& a, const Line& b) { return a.index < b.index; });
  return read;
}

void PredictionLines::Describe(std::string_view path, SampledImage& image) const {
  const PictureName name = ReadName(path);
  image.label = kUnknown;
  image.sample_index = name.index;
  image.reason = name.reason;
  if (!name.index) return;
  const auto line =
      std::lower_bound(lines_.begin(), lines_.end(), *name.index,
                       [](const Line& a, std::int64_t index) { return a.index < index; });
  if (line == lines_.end() || line->index != *name.index) return;
  if (!line->prediction.empty()) image.label = line->prediction;
  image.confidence = line->confidence;
  image.distance = line->distance;
  if (line->at) image.at = *line->at;
}

base::Status ImageIndex::Take(store::Transaction& transaction,
                              std::span<const SampledImage> images) {
  for (const SampledImage& image : images) {
    const auto day = base::ParseInt(store::DayKeyPart(image.at));
    RETURN_IF_ERROR(transaction.Execute(
        "INSERT INTO images_index (device_id, sample_id, label, day, at, sample_index, confidence, "
        "distance, reason, bundle, bytes, object_key, package_id) VALUES ($1, $2, $3, $4, $5, $6, "
        "$7, $8, $9, $10, $11, $12, $13) ON CONFLICT (device_id, sample_id) DO NOTHING",
        {image.device_id, image.sample_id, image.label, day.ok() ? *day : 0, image.at,
         image.sample_index, image.confidence, image.distance, image.reason, image.bundle,
         image.bytes, image.object_key, image.package_id}));
  }
  return {};
}

base::Result<Json> ImageIndex::List(const http::Request& request, const std::string& device_id) {
  ASSIGN_OR_RETURN(const auto cursor, http::ReadCursor(request));
  const std::size_t limit = request.Limit(100, 500);
  const base::Time last{base::Duration(std::numeric_limits<std::int64_t>::max())};
  ASSIGN_OR_RETURN(const base::Time from, TimeOr(request, "from", base::Time{}));
  ASSIGN_OR_RETURN(const base::Time to, TimeOr(request, "to", last));
  double below = 2.0;  // Above every confidence.
  if (const std::string_view text = request.Query("confidence_below"); !text.empty()) {
    const auto number = base::ParseDouble(text);
    if (!number.ok()) {
      return Error{ErrorCode::kInvalidArgument, "confidence_below: a number is expected"};
    }
    below = *number;
  }
  const std::int64_t before = cursor ? cursor->number : std::numeric_limits<std::int64_t>::max();
  const std::string label(request.Query("label"));
  std::string sql =
      "SELECT sample_id, label, at, sample_index, confidence, distance, reason, bundle, bytes, "
      "package_id FROM images_index WHERE device_id = $1 AND at >= $2 AND at < $3 AND "
      "(at < $4 OR (at = $4 AND sample_id < $5)) AND ($6 = '' OR reason = $6) AND "
      "($7 > 1.0 OR confidence < $7) ";
  store::Params params = {device_id,
                          from,
                          to,
                          before,
                          cursor ? cursor->text : "",
                          std::string(request.Query("reason")),
                          below,
                          limit + 1};
  // With a label the index by label is walked, without one that by time.
  if (!label.empty()) {
    sql += "AND label = $9 ";
    params.emplace_back(label);
  }
  sql += "ORDER BY at DESC, sample_id DESC LIMIT $8";
  ASSIGN_OR_RETURN(store::Rows rows, database_.Query(sql, params));
  return http::MakePage(std::move(rows), limit, ImageJson, [](const Row& row) {
    return http::Cursor{.number = row.Int("at"), .text = row.Text("sample_id")};
  });
}

base::Result<http::Response> ImageIndex::Content(const http::Request& request,
                                                 const std::string& device_id,
                                                 const std::string& sample_id) {
  ASSIGN_OR_RETURN(const auto row,
                   database_.QueryOne("SELECT object_key FROM images_index WHERE device_id = $1 "
                                      "AND sample_id = $2",
                                      {device_id, sample_id}));
  if (!row) {
    return Error{ErrorCode::kNotFound, base::StrCat(device_id, " has no picture ", sample_id)};
  }
  ASSIGN_OR_RETURN(auto file, objects_.Get(row->Text("object_key")));
  return http::Response::File(request, std::shared_ptr<const base::ReadableFile>(std::move(file)),
                              "image/jpeg", sample_id, /*is_immutable=*/false);
}

void ImageIndex::AddRoutes(http::Router& router) {
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices/{device_id}/images",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler =
                  [this](http::Request& request) {
                    return Answer(List(request, request.Param("device_id")));
                  },
              .too_large = nullptr});
  router.Add({.method = Method::kGet,
              .path = "/api/v1/devices/{device_id}/images/{sample_id}",
              .access = Access::kViewer,
              .body = BodyRule::None(),
              .handler =
                  [this](http::Request& request) {
                    return Content(request, request.Param("device_id"), request.Param("sample_id"));
                  },
              .too_large = nullptr});
}

}  // namespace tinysphere::series
