#include "agent/config.h"

#include <algorithm>
#include <array>
#include <span>

#include "base/crypto.h"
#include "base/text.h"

namespace agent {

using base::Error;
using base::ErrorCode;
using base::JsonReader;
using base::Result;
using base::StrCat;

namespace {

void RefuseUnknown(JsonReader& reader, std::span<const std::string_view> known) {
  if (!reader.json().is_object()) return;
  for (const auto& [key, value] : reader.json().as_object()) {
    if (std::find(known.begin(), known.end(), key) == known.end()) {
      reader.Refuse(key, "no such key");
    }
  }
}

void ReadDuration(JsonReader& reader, std::string_view key, base::Duration& value) {
  if (const auto text = reader.OptionalString(key)) {
    const auto parsed = base::ParseDuration(*text);
    if (parsed.ok()) {
      value = *parsed;
    } else {
      reader.Refuse(key, parsed.error().message);
    }
  }
}

void ReadBytes(JsonReader& reader, std::string_view key, std::uint64_t& value) {
  if (!reader.Has(key)) return;
  if (reader.json().Find(key)->is_string()) {
    const auto parsed = base::ParseByteCount(reader.String(key));
    if (parsed.ok()) {
      value = *parsed;
    } else {
      reader.Refuse(key, parsed.error().message);
    }
  } else if (const auto number = reader.OptionalInt(key, {.min = 0})) {
    value = static_cast<std::uint64_t>(*number);
  }
}

template <typename T>
void ReadCount(JsonReader& reader, std::string_view key, T& value, std::int64_t min,
               std::int64_t max) {
  if (const auto number = reader.OptionalInt(key, {.min = min, .max = max})) {
    value = static_cast<T>(*number);
  }
}

void ReadText(JsonReader& reader, std::string_view key, std::string& value) {
  if (const auto text = reader.OptionalString(key)) value = *text;
}

void ReadFlag(JsonReader& reader, std::string_view key, bool& value) {
  if (const auto flag = reader.OptionalBool(key)) value = *flag;
}

void ReadSource(JsonReader reader, SourceConfig& source) {
  static constexpr std::array<std::string_view, 6> kKnown = {
      "kind", "command", "path", "frame_counter", "frame_column", "label_column"};
  RefuseUnknown(reader, kKnown);
  ReadText(reader, "kind", source.kind);
  if (source.kind != "camera" && source.kind != "rows" && source.kind != "jsonl" &&
      source.kind != "images") {
    reader.Refuse("kind", "camera, rows, jsonl or images is asked");
  }
  ReadText(reader, "command", source.command);
  ReadText(reader, "path", source.path);
  if (source.command.empty() == source.path.empty()) {
    reader.Refuse("command", "exactly one of command and path is asked");
  }
  if (const auto counter = reader.OptionalString("frame_counter")) {
    if (*counter != "barcode") reader.Refuse("frame_counter", "only \"barcode\" is known");
    source.barcode = true;
  }
  ReadText(reader, "frame_column", source.frame_column);
  ReadText(reader, "label_column", source.label_column);
}

void ReadSync(JsonReader reader, SyncConfig& sync) {
  static constexpr std::array<std::string_view, 10> kKnown = {
      "server",      "interval",    "samples", "on_drift", "poll",
      "backoff_min", "backoff_max", "format",  "quota",    "insecure_http"};
  RefuseUnknown(reader, kKnown);
  ReadText(reader, "server", sync.server);
  ReadDuration(reader, "interval", sync.interval);
  ReadCount(reader, "samples", sync.samples, 0, INT64_MAX);
  ReadFlag(reader, "on_drift", sync.on_drift);
  ReadDuration(reader, "poll", sync.poll);
  ReadDuration(reader, "backoff_min", sync.backoff_min);
  ReadDuration(reader, "backoff_max", sync.backoff_max);
  if (const auto format = reader.OptionalString("format")) {
    const auto parsed = protocol::ParseArchiveFormat(*format);
    if (parsed.ok()) {
      sync.format = *parsed;
    } else {
      reader.Refuse("format", parsed.error().message);
    }
  }
  ReadBytes(reader, "quota", sync.quota_bytes);
  ReadFlag(reader, "insecure_http", sync.insecure_http);
}

}  // namespace

Result<Config> ParseConfig(std::string_view text, const std::string& name) {
  auto json = base::Json::Parse(text);
  if (!json.ok())
    return Error{ErrorCode::kInvalidArgument, StrCat(name, ": ", json.error().message)};
  Config config;
  config.sha256 = base::Sha256Hex(base::AsBytes(text));
  JsonReader reader(*json, name);
  static constexpr std::array<std::string_view, 13> kKnown = {
      "name",  "data",       "bundle", "model_family", "device_class", "source", "mode",
      "drift", "quarantine", "sync",   "datalog",      "consent",      "seed"};
  RefuseUnknown(reader, kKnown);
  config.name = reader.String("name");
  config.data = reader.String("data");
  config.bundle = reader.String("bundle");
  ReadText(reader, "model_family", config.model_family);
  ReadText(reader, "device_class", config.device_class);
  ReadSource(reader.Object("source"), config.source);
  if (const auto mode = reader.OptionalString("mode")) {
    const auto parsed = tinylcm::adapt::ParseMode(*mode);
    if (parsed.ok()) {
      config.mode = *parsed;
    } else {
      reader.Refuse("mode", parsed.error().message);
    }
  }
  if (reader.Has("drift")) {
    JsonReader drift = reader.Object("drift");
    static constexpr std::array<std::string_view, 2> kDrift = {"false_alarm_every",
                                                               "samples_per_second"};
    RefuseUnknown(drift, kDrift);
    if (drift.Has("false_alarm_every")) {
      if (drift.json().Find("false_alarm_every")->is_string()) {
        base::Duration duration{0};
        ReadDuration(drift, "false_alarm_every", duration);
        // Statistics count samples; only a person knows how many come in a day.
        const std::optional<double> rate = drift.OptionalDouble("samples_per_second");
        if (!rate || !(*rate > 0)) {
          drift.Refuse("samples_per_second", "is asked beside a duration");
        } else {
          config.false_alarm_every = static_cast<double>(duration.count()) / 1000.0 * *rate;
        }
      } else {
        config.false_alarm_every = drift.Double("false_alarm_every");
      }
      if (!(config.false_alarm_every >= 100)) {
        drift.Refuse("false_alarm_every", "at least 100 samples are asked");
      }
    }
  }
  if (reader.Has("quarantine")) {
    JsonReader quarantine = reader.Object("quarantine");
    static constexpr std::array<std::string_view, 2> kQuarantine = {"samples", "labels_per_event"};
    RefuseUnknown(quarantine, kQuarantine);
    ReadCount(quarantine, "samples", config.quarantine_samples, 50, 2000);
    ReadCount(quarantine, "labels_per_event", config.labels_per_event, 0, 200);
  }
  if (reader.Has("sync")) ReadSync(reader.Object("sync"), config.sync);
  if (reader.Has("datalog")) {
    JsonReader datalog = reader.Object("datalog");
    static constexpr std::array<std::string_view, 2> kDatalog = {"every", "bytes_max"};
    RefuseUnknown(datalog, kDatalog);
    ReadCount(datalog, "every", config.datalog_every, 0, UINT32_MAX);
    ReadBytes(datalog, "bytes_max", config.datalog_bytes);
  }
  if (reader.Has("consent")) {
    JsonReader consent = reader.Object("consent");
    static constexpr std::array<std::string_view, 1> kConsent = {"images"};
    RefuseUnknown(consent, kConsent);
    ReadFlag(consent, "images", config.consent_images);
  }
  ReadCount(reader, "seed", config.seed, 0, INT64_MAX);
  RETURN_IF_ERROR(reader.status());
  return config;
}

Result<Config> ReadConfig(base::FileSystem& fs, const std::string& path) {
  const auto text = base::ReadTextFile(fs, path, 1u << 20);
  if (!text.ok()) {
    if (text.error().code != ErrorCode::kNotFound) return text.error();
    return Error{ErrorCode::kInvalidArgument, StrCat(path, ": no such file")};
  }
  return ParseConfig(*text, path);
}

}  // namespace agent
