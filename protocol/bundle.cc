#include "protocol/bundle.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/json.h"
#include "base/text.h"
#include "protocol/identifiers.h"
#include "protocol/json_fields.h"
#include "protocol/manifest_files.h"

namespace protocol {

using base::Error;
using base::ErrorCode;
using base::Json;
using base::JsonReader;
using base::Result;
using base::StrCat;

namespace {

Json NumbersToJson(const std::vector<double>& values) {
  Json json = Json::MakeArray();
  for (const double value : values) json.Append(value);
  return json;
}

Json WindowToJson(const BundleWindow& window) {
  Json json = Json::MakeObject({{"size", window.size}, {"step", window.step}});
  if (window.sample_rate_hz != 0.0) json.Set("sample_rate_hz", window.sample_rate_hz);
  json.Set("statistics", ToJson(window.statistics));
  if (!window.bands.empty()) {
    Json bands = Json::MakeArray();
    for (const auto& [from, to] : window.bands) bands.Append(NumbersToJson({from, to}));
    json.Set("bands", std::move(bands));
  }
  return json;
}

std::vector<double> ReadNumbers(JsonReader& reader, std::string_view key, std::size_t count) {
  std::vector<double> values;
  for (JsonReader value : reader.Array(key, count)) values.push_back(value.AsDouble());
  if (values.size() != count) reader.Refuse(key, base::StrCat("not ", count, " numbers"));
  return values;
}

BundleWindow ReadWindow(JsonReader reader) {
  BundleWindow window;
  window.size = static_cast<int>(reader.Int("size", {.min = 2, .max = 1 << 16}));
  window.step = static_cast<int>(reader.Int("step", {.min = 1, .max = 1 << 16}));
  window.sample_rate_hz = reader.OptionalDouble("sample_rate_hz").value_or(0.0);
  if (!(window.sample_rate_hz >= 0.0)) reader.Refuse("sample_rate_hz", "below 0");
  window.statistics = reader.Strings("statistics", std::size(kWindowStatistics));
  for (const std::string& name : window.statistics) {
    if (std::ranges::find(kWindowStatistics, name) == std::end(kWindowStatistics) ||
        std::ranges::count(window.statistics, name) != 1) {
      reader.Refuse("statistics", "none of mean, deviation, min, max, rms, or one twice");
    }
  }
  if (reader.Has("bands")) {
    for (JsonReader band : reader.Array("bands", 64)) {
      // An array of two: read as the values of a one-field object would be.
      const Json& json = band.json();
      if (!json.is_array() || json.as_array().size() != 2 || !json.as_array()[0].is_number() ||
          !json.as_array()[1].is_number()) {
        reader.Refuse("bands", "not pairs of numbers");
        break;
      }
      const double from = json.as_array()[0].as_double();
      const double to = json.as_array()[1].as_double();
      if (!(from >= 0.0 && from < to && to <= window.sample_rate_hz / 2)) {
        reader.Refuse("bands", "not ascending, or beyond half the sample rate");
      }
      window.bands.emplace_back(from, to);
    }
  }
  if (window.features_a_channel() == 0) reader.Refuse("statistics", "none, and no bands");
  return window;
}

Json InputToJson(const BundleInput& input) {
  if (input.kind == BundleInput::Kind::kRow) {
    Json json = Json::MakeObject({{"kind", "row"}, {"channel_count", input.channel_count}});
    if (!input.channel_names.empty()) json.Set("channel_names", ToJson(input.channel_names));
    if (input.window) json.Set("window", WindowToJson(*input.window));
    return json;
  }
  Json json = Json::MakeObject({{"kind", "image"},
                                {"width", input.width},
                                {"height", input.height},
                                {"channels", input.channels},
                                {"resize", input.resize},
                                {"scale", input.scale}});
  if (!input.mean.empty()) json.Set("mean", NumbersToJson(input.mean));
  if (!input.deviation.empty()) json.Set("deviation", NumbersToJson(input.deviation));
  if (input.source_width) json.Set("source_width", *input.source_width);
  if (input.source_height) json.Set("source_height", *input.source_height);
  return json;
}

BundleInput ReadInput(JsonReader reader) {
  constexpr JsonReader::IntRange kSide = {.min = 1, .max = 16384};
  BundleInput input;
  const std::string kind = reader.String("kind");
  if (kind == "row") {
    input.kind = BundleInput::Kind::kRow;
    input.channel_count = static_cast<int>(reader.Int("channel_count", {.min = 1, .max = 65536}));
    if (reader.Has("channel_names")) {
      input.channel_names = reader.Strings("channel_names", 65536);
      if (input.channel_names.size() != static_cast<std::size_t>(input.channel_count)) {
        reader.Refuse("channel_names", "not one a channel");
      }
    }
    if (reader.Has("window")) input.window = ReadWindow(reader.Object("window"));
    return input;
  }
  if (kind != "image") reader.Refuse("kind", "neither image nor row");
  input.width = static_cast<int>(reader.Int("width", kSide));
  input.height = static_cast<int>(reader.Int("height", kSide));
  input.channels = reader.String("channels", {.bytes_max = 16});
  input.resize = reader.String("resize", {.bytes_max = 32});
  input.scale = reader.String("scale", {.bytes_max = 32});
  if (input.scale == "mean_deviation") {
    input.mean = ReadNumbers(reader, "mean", 3);
    input.deviation = ReadNumbers(reader, "deviation", 3);
    for (const double value : input.deviation) {
      if (!(value > 0.0)) reader.Refuse("deviation", "not above 0");
    }
  }
  if (const auto width = reader.OptionalInt("source_width", kSide)) {
    input.source_width = static_cast<int>(*width);
  }
  if (const auto height = reader.OptionalInt("source_height", kSide)) {
    input.source_height = static_cast<int>(*height);
  }
  return input;
}

Result<ReadBundleResult> ReadHead(SignedArchiveReader& reader,
                                  const base::Ed25519PublicKey& publisher) {
  // Not even the JSON is parsed before the signature holds.
  RETURN_IF_ERROR(reader.Verify(kBundleSignaturePrefix, publisher));
  ReadBundleResult result;
  result.manifest_bytes = reader.manifest_bytes();
  result.signature = reader.signature();
  result.bundle = BundleIdOf(result.manifest_bytes);
  ASSIGN_OR_RETURN(result.manifest, ParseBundleManifest(result.manifest_bytes));
  return result;
}

// "1.2.3-rc1" -> {1, 2, 3}.
std::array<std::int64_t, 3> VersionParts(std::string_view version) {
  std::array<std::int64_t, 3> parts{};
  std::size_t i = 0;
  for (const std::string_view part : base::Split(version.substr(0, version.find('-')), '.')) {
    if (i == parts.size()) break;
    const Result<std::int64_t> number = base::ParseInt(part);
    parts[i++] = number.ok() ? *number : 0;
  }
  return parts;
}

}  // namespace

const NamedFile* BundleManifest::FileWithRole(std::string_view role) const {
  for (const NamedFile& file : files) {
    if (file.role == role) return &file;
  }
  return nullptr;
}

std::string WriteBundleManifest(const BundleManifest& manifest) {
  return Json::MakeObject(
             {{"format", kBundleFormat},
              {"name", manifest.name},
              {"version", manifest.version},
              {"model_family", manifest.model_family},
              {"device_class", ToJson(manifest.device_class)},
              {"min_agent", manifest.min_agent},
              {"task", manifest.task},
              {"input", InputToJson(manifest.input)},
              {"labels", ToJson(manifest.labels)},
              {"lineage", Json::MakeObject({{"parent", manifest.lineage.parent},
                                            {"data", manifest.lineage.data},
                                            {"taught_by", ToJson(manifest.lineage.taught_by)}})},
              {"licence", manifest.licence},
              {"files", FilesToJson(manifest.files, "role")}})
      .WritePretty();
}

Result<BundleManifest> ParseBundleManifest(base::ByteView text) {
  ASSIGN_OR_RETURN(const Json json, Json::Parse(base::AsText(text),
                                                {.bytes_max = kManifestBytesMax, .depth_max = 8}));
  JsonReader reader(json, "manifest.json");
  RETURN_IF_ERROR(CheckFormat(reader, kBundleFormat));
  BundleManifest manifest;
  manifest.name = reader.String("name", {.bytes_max = 100});
  if (!IsPlainId(manifest.name)) reader.Refuse("name", "malformed");
  manifest.version = reader.String("version", {.bytes_max = 64});
  if (!IsPlainId(manifest.version)) reader.Refuse("version", "malformed");
  manifest.model_family = reader.String("model_family", {.bytes_max = 100});
  manifest.device_class = reader.Strings("device_class", 64);
  manifest.min_agent = reader.String("min_agent", {.bytes_max = 64});
  manifest.task = reader.String("task", {.bytes_max = 64});
  manifest.input = ReadInput(reader.Object("input"));
  manifest.labels = reader.Strings("labels", 65535);
  const std::set<std::string> distinct(manifest.labels.begin(), manifest.labels.end());
  if (manifest.labels.empty() || distinct.size() != manifest.labels.size()) {
    reader.Refuse("labels", "none, or one twice");
  }
  if (reader.Has("lineage")) {
    JsonReader lineage = reader.Object("lineage");
    manifest.lineage.parent = lineage.OptionalString("parent");
    manifest.lineage.data = lineage.OptionalString("data");
    if (lineage.Has("taught_by")) {
      manifest.lineage.taught_by = lineage.Strings("taught_by", 10'000);
    }
  }
  manifest.licence = reader.OptionalString("licence").value_or("");
  manifest.files = ReadFilesList(reader, "role", kBundleLimits.files_max - 2);
  RETURN_IF_ERROR(reader.status());
  return manifest;
}

std::string BundleIdOf(base::ByteView manifest) { return base::Sha256Hex(manifest); }

Result<ReadBundleResult> ReadBundle(ByteSource& source, const ArchiveLimits& limits,
                                    const base::Ed25519PublicKey& publisher, FileSink& sink) {
  ASSIGN_OR_RETURN(SignedArchiveReader reader, SignedArchiveReader::Open(source, limits));
  ASSIGN_OR_RETURN(ReadBundleResult result, ReadHead(reader, publisher));
  RETURN_IF_ERROR(reader.ReadFiles(result.manifest.files, sink));
  return result;
}

Result<ReadBundleResult> ReadBundleManifest(ByteSource& source, const ArchiveLimits& limits,
                                            const base::Ed25519PublicKey& publisher) {
  ASSIGN_OR_RETURN(SignedArchiveReader reader, SignedArchiveReader::Open(source, limits));
  return ReadHead(reader, publisher);
}

bool IsAtLeast(std::string_view version, std::string_view least) {
  return VersionParts(version) >= VersionParts(least);
}

}  // namespace protocol
