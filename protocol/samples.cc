#include "protocol/samples.h"

#include <array>
#include <charconv>
#include <cmath>
#include <set>

#include "base/text.h"
#include "protocol/identifiers.h"
#include "protocol/json_fields.h"

namespace protocol {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::JsonReader;
using base::Result;
using base::StrCat;

namespace {

constexpr std::string_view kFeaturesPrefix = "features.safetensors#";
constexpr std::string_view kRowsPrefix = "rows.csv#";

std::optional<std::uint64_t> NumberAfter(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  const Result<std::int64_t> number = base::ParseInt(text.substr(prefix.size()));
  if (!number.ok() || *number < 0) return std::nullopt;
  return static_cast<std::uint64_t>(*number);
}

// The shortest text that reads back to the same float; through a double it would be twice as long.
std::string FormatFloat(float value) {
  std::array<char, 32> buffer;
  return {buffer.data(), std::to_chars(buffer.data(), buffer.data() + buffer.size(), value).ptr};
}

Json RowToJson(const std::optional<std::vector<double>>& row) {
  return row ? ToJson(*row) : Json();
}

}  // namespace

std::optional<std::uint64_t> SampleRecord::csv_row() const {
  return NumberAfter(media, kRowsPrefix);
}

Json ToJson(const SampleSet& set) {
  Json samples = Json::MakeArray();
  for (const SampleRecord& sample : set.samples) {
    Json neighbours = Json::MakeArray();
    for (const auto& neighbour : sample.neighbours) {
      neighbours.Append(Json::MakeObject({{"anchor", neighbour.anchor},
                                          {"label", neighbour.label},
                                          {"distance", neighbour.distance}}));
    }
    samples.Append(Json::MakeObject(
        {{"sample_id", sample.sample_id},
         {"index", sample.index},
         {"prediction", sample.prediction},
         {"confidence", sample.confidence},
         {"neighbours", std::move(neighbours)},
         {"reason", sample.reason},
         {"cluster_mass", sample.cluster_mass},
         {"cluster_accuracy", sample.cluster_accuracy},
         {"novelty", sample.novelty},
         {"feature",
          sample.feature_row ? Json(StrCat(kFeaturesPrefix, *sample.feature_row)) : Json()},
         {"media", sample.media.empty() ? Json() : Json(sample.media)}}));
  }
  return Json::MakeObject({{"format", kSamplesFormat},
                           {"event_id", set.event_id},
                           {"labels", ToJson(set.labels)},
                           {"samples", std::move(samples)},
                           {"reference_row_mean", RowToJson(set.reference_row_mean)},
                           {"reference_row_sd", RowToJson(set.reference_row_sd)}});
}

Result<SampleSet> ParseSampleSet(std::string_view text) {
  constexpr std::size_t kRowMax = 65536;
  ASSIGN_OR_RETURN(const Json json, ParseDocument(text));
  JsonReader reader(json, "samples.json");
  RETURN_IF_ERROR(CheckFormat(reader, kSamplesFormat));
  SampleSet set;
  set.event_id = reader.OptionalString("event_id");
  if (set.event_id && !IsPlainId(*set.event_id)) reader.Refuse("event_id", "malformed");
  set.labels = reader.Strings("labels", 65535);
  std::set<std::string> ids;
  std::set<std::string> media;
  for (JsonReader& entry : reader.Array("samples", 10'000)) {
    SampleRecord sample;
    sample.sample_id = entry.String("sample_id");
    if (!IsPlainId(sample.sample_id)) entry.Refuse("sample_id", "malformed");
    if (!ids.insert(sample.sample_id).second) entry.Refuse("sample_id", "there twice");
    sample.index = ReadCount(entry, "index");
    sample.prediction = entry.String("prediction");
    sample.confidence = entry.Double("confidence");
    for (JsonReader& neighbour : entry.Array("neighbours", 64)) {
      sample.neighbours.push_back({neighbour.Int("anchor", {.min = 0}), neighbour.String("label"),
                                   neighbour.Double("distance")});
    }
    sample.reason = entry.String("reason");
    sample.cluster_mass = entry.OptionalDouble("cluster_mass");
    sample.cluster_accuracy = entry.OptionalDouble("cluster_accuracy");
    sample.novelty = entry.OptionalDouble("novelty");
    if (const auto feature = entry.OptionalString("feature")) {
      sample.feature_row = NumberAfter(*feature, kFeaturesPrefix);
      if (!sample.feature_row) entry.Refuse("feature", "not features.safetensors#<row>");
    }
    sample.media = entry.OptionalString("media").value_or("");
    if (!sample.media.empty() && !sample.csv_row() &&
        !(sample.is_image() && IsSafePath(sample.media))) {
      entry.Refuse("media", "neither images/<name> nor rows.csv#<row>");
    }
    // Two samples with one picture: one of them would be shown another's.
    if (!sample.media.empty() && !media.insert(sample.media).second) {
      entry.Refuse("media", "another sample's");
    }
    set.samples.push_back(std::move(sample));
  }
  if (reader.Has("reference_row_mean")) {
    set.reference_row_mean = ReadNumbers(reader, "reference_row_mean", kRowMax);
  }
  if (reader.Has("reference_row_sd")) {
    set.reference_row_sd = ReadNumbers(reader, "reference_row_sd", kRowMax);
  }
  RETURN_IF_ERROR(reader.status());
  return set;
}

std::string WriteRowsCsv(const std::vector<std::string>& sample_ids,
                         const std::vector<std::vector<float>>& rows) {
  CHECK(sample_ids.size() == rows.size());
  std::string csv = "sample_id";
  const std::size_t columns = rows.empty() ? 0 : rows[0].size();
  for (std::size_t c = 0; c < columns; ++c) csv += StrCat(",ch", c);
  csv += '\n';
  for (std::size_t r = 0; r < rows.size(); ++r) {
    CHECK(rows[r].size() == columns);
    csv += sample_ids[r];
    for (const float value : rows[r]) csv += StrCat(",", FormatFloat(value));
    csv += '\n';
  }
  return csv;
}

Result<std::vector<std::vector<float>>> ParseRowsCsv(std::string_view csv) {
  std::vector<std::vector<float>> rows;
  std::size_t columns = 0;
  std::size_t number = 0;
  for (const std::string_view line : base::Split(csv, '\n')) {
    ++number;
    if (line.empty()) continue;
    const std::vector<std::string_view> fields = base::Split(line, ',');
    if (number == 1) {
      if (fields[0] != "sample_id") {
        return Error{ErrorCode::kInvalidArgument, "rows.csv: does not begin with sample_id"};
      }
      columns = fields.size();
      continue;
    }
    if (fields.size() != columns) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("rows.csv: line ", number, ": ", fields.size(),
                          " fields, the header has ", columns)};
    }
    std::vector<float> row;
    for (std::size_t c = 1; c < fields.size(); ++c) {
      const Result<double> value = base::ParseDouble(fields[c]);
      if (!value.ok()) return value.error().Within(StrCat("rows.csv: line ", number));
      const auto narrow = static_cast<float>(*value);
      // 1e300 is a fine double and no float: as infinity it could not be written as JSON again.
      if (!std::isfinite(narrow)) {
        return Error{ErrorCode::kInvalidArgument,
                     StrCat("rows.csv: line ", number, ": ", fields[c], " is no 32-bit number")};
      }
      row.push_back(narrow);
    }
    rows.push_back(std::move(row));
  }
  if (columns == 0) return Error{ErrorCode::kInvalidArgument, "rows.csv: empty"};
  return rows;
}

}  // namespace protocol
