#include "protocol/metrics.h"

#include <algorithm>

#include "protocol/json_fields.h"

namespace protocol {

using base::Json;
using base::JsonReader;

namespace {

std::optional<std::uint64_t> OptionalCount(JsonReader& reader, std::string_view key) {
  const std::optional<std::int64_t> value = reader.OptionalInt(key, {.min = 0});
  if (!value) return std::nullopt;
  return static_cast<std::uint64_t>(*value);
}

Json SketchToJson(const DeviceMetrics::Sketch& sketch) {
  Json json = Json::MakeArray();
  for (const auto& [bucket, count] : sketch) json.Append(Json(Json::Array{bucket, count}));
  return json;
}

// [[bucket, count], ...]; nothing where the field is missing.
DeviceMetrics::Sketch ReadSketch(JsonReader& reader, std::string_view key) {
  DeviceMetrics::Sketch sketch;
  if (!reader.Has(key)) return sketch;
  const Json& pairs = *reader.json().Find(key);
  constexpr std::size_t kBucketsMax = 10'000;
  if (!pairs.is_array() || pairs.as_array().size() > kBucketsMax) {
    reader.Refuse(key, "an array of [bucket, count] is expected");
    return sketch;
  }
  for (const Json& pair : pairs.as_array()) {
    const bool is_good =
        pair.is_array() && pair.as_array().size() == 2 && pair.as_array()[0].is_int() &&
        pair.as_array()[1].is_int() && pair.as_array()[0].as_int() >= 0 &&
        pair.as_array()[0].as_int() <= UINT32_MAX && pair.as_array()[1].as_int() >= 0;
    if (!is_good) {
      reader.Refuse(key, "an array of [bucket, count] is expected");
      return {};
    }
    sketch.emplace_back(static_cast<std::uint32_t>(pair.as_array()[0].as_int()),
                        static_cast<std::uint64_t>(pair.as_array()[1].as_int()));
  }
  return sketch;
}

Json LinkToJson(const DeviceMetrics::Link& link) {
  return Json::MakeObject(
      {{"up", link.up},
       {"interface", link.interface},
       {"signal_dbm", link.signal_dbm},
       {"last_contact", link.last_contact ? Json(base::FormatTime(*link.last_contact)) : Json()}});
}

DeviceMetrics::Link ReadLink(JsonReader reader) {
  DeviceMetrics::Link link;
  link.up = reader.OptionalBool("up");
  link.interface = reader.OptionalString("interface").value_or("");
  link.signal_dbm = reader.OptionalDouble("signal_dbm");
  if (reader.Has("last_contact")) link.last_contact = ReadTime(reader, "last_contact");
  return link;
}

Json LocationToJson(const DeviceMetrics::Location& location) {
  return Json::MakeObject({{"latitude", location.latitude},
                           {"longitude", location.longitude},
                           {"accuracy_m", location.accuracy_m},
                           {"age_ms", location.age_ms},
                           {"source", location.source}});
}

DeviceMetrics::Location ReadLocation(JsonReader reader) {
  DeviceMetrics::Location location;
  location.latitude = reader.Double("latitude");
  location.longitude = reader.Double("longitude");
  location.accuracy_m = reader.OptionalDouble("accuracy_m");
  location.age_ms = reader.Int("age_ms", {.min = 0});
  location.source = reader.String("source", {.bytes_max = 64});
  if (!(location.latitude >= -90.0 && location.latitude <= 90.0)) {
    reader.Refuse("latitude", "-90 to 90 degrees");
  }
  if (!(location.longitude >= -180.0 && location.longitude <= 180.0)) {
    reader.Refuse("longitude", "-180 to 180 degrees");
  }
  return location;
}

}  // namespace

Json ToJson(const DeviceMetrics& metrics) {
  Json stages = Json::MakeArray();
  for (const auto& stage : metrics.stages) {
    stages.Append(Json::MakeObject({{"name", stage.name},
                                    {"p50_ms", stage.p50_ms},
                                    {"p95_ms", stage.p95_ms},
                                    {"p99_ms", stage.p99_ms},
                                    {"sketch", SketchToJson(stage.sketch)}}));
  }
  Json class_mix = Json::MakeArray();
  for (const auto& entry : metrics.class_mix) {
    class_mix.Append(Json::MakeObject({{"label", entry.label}, {"count", entry.count}}));
  }
  Json histogram = Json::MakeArray();
  for (const std::uint64_t count : metrics.confidence_histogram) histogram.Append(count);
  return Json::MakeObject(
      {{"format", kMetricsFormat},
       {"at", base::FormatTime(metrics.at)},
       {"window_ms", metrics.window_ms},
       {"frames", metrics.frames},
       {"frames_window", metrics.frames_window},
       {"skipped", metrics.skipped},
       {"dropped", metrics.dropped},
       {"log_dropped", metrics.log_dropped},
       {"fps", metrics.fps},
       {"confidence_mean", metrics.confidence_mean},
       {"distance_mean", metrics.distance_mean},
       {"confidence_histogram", std::move(histogram)},
       {"accuracy_estimated", metrics.accuracy_estimated},
       {"accuracy_low", metrics.accuracy_low},
       {"accuracy_high", metrics.accuracy_high},
       {"latency_ms_p50", metrics.latency_ms_p50},
       {"latency_ms_p95", metrics.latency_ms_p95},
       {"latency_ms_p99", metrics.latency_ms_p99},
       {"latency_sketch", SketchToJson(metrics.latency_sketch)},
       {"stages", std::move(stages)},
       {"class_mix", std::move(class_mix)},
       {"rss_bytes", metrics.rss_bytes},
       {"pss_bytes", metrics.pss_bytes},
       {"cpu_percent", metrics.cpu_percent},
       {"temperature_c", metrics.temperature_c},
       {"throttled", metrics.throttled},
       {"throttled_since_boot", metrics.throttled_since_boot},
       {"undervoltage", metrics.undervoltage},
       {"disk_free_bytes", metrics.disk_free_bytes},
       {"link", metrics.link ? LinkToJson(*metrics.link) : Json()},
       {"location", metrics.location ? LocationToJson(*metrics.location) : Json()},
       {"log_bytes", metrics.log_bytes},
       {"log_evicted_files", metrics.log_evicted_files},
       {"queue_packages", metrics.queue_packages},
       {"queue_bytes", metrics.queue_bytes},
       {"packages_made", metrics.packages_made},
       {"packages_evicted", metrics.packages_evicted},
       {"packages_dead", metrics.packages_dead},
       {"drift_state", metrics.drift_state},
       {"mode", metrics.mode},
       {"adaptation", metrics.hypothesis || metrics.challenger
                          ? Json::MakeObject({{"hypothesis", metrics.hypothesis},
                                              {"challenger", metrics.challenger}})
                          : Json()},
       {"model", Json::MakeObject({{"name", metrics.model_name},
                                   {"version", metrics.model_version},
                                   {"model_family", metrics.model_family},
                                   {"bundle", metrics.bundle}})}});
}

base::Result<DeviceMetrics> ParseDeviceMetrics(std::string_view text) {
  ASSIGN_OR_RETURN(const Json json, ParseDocument(text));
  JsonReader reader(json, "metrics.json");
  RETURN_IF_ERROR(CheckFormat(reader, kMetricsFormat));
  DeviceMetrics metrics;
  metrics.at = ReadTime(reader, "at");
  metrics.window_ms = reader.Int("window_ms", {.min = 0});
  metrics.frames = ReadCount(reader, "frames");
  metrics.frames_window = ReadCount(reader, "frames_window");
  metrics.skipped = ReadCount(reader, "skipped");
  metrics.dropped = ReadCount(reader, "dropped");
  metrics.log_dropped = ReadCount(reader, "log_dropped");
  metrics.fps = reader.OptionalDouble("fps");
  metrics.confidence_mean = reader.OptionalDouble("confidence_mean");
  metrics.distance_mean = reader.OptionalDouble("distance_mean");
  if (reader.Has("confidence_histogram")) {
    for (JsonReader& count : reader.Array("confidence_histogram", 1000)) {
      metrics.confidence_histogram.push_back(
          static_cast<std::uint64_t>(std::max<std::int64_t>(0, count.AsInt())));
    }
  }
  metrics.accuracy_estimated = reader.OptionalDouble("accuracy_estimated");
  metrics.accuracy_low = reader.OptionalDouble("accuracy_low");
  metrics.accuracy_high = reader.OptionalDouble("accuracy_high");
  metrics.latency_ms_p50 = reader.OptionalDouble("latency_ms_p50");
  metrics.latency_ms_p95 = reader.OptionalDouble("latency_ms_p95");
  metrics.latency_ms_p99 = reader.OptionalDouble("latency_ms_p99");
  metrics.latency_sketch = ReadSketch(reader, "latency_sketch");
  for (JsonReader& stage : reader.Array("stages", 100)) {
    metrics.stages.push_back({stage.String("name"), stage.Double("p50_ms"), stage.Double("p95_ms"),
                              stage.Double("p99_ms"), ReadSketch(stage, "sketch")});
  }
  for (JsonReader& entry : reader.Array("class_mix", 65535)) {
    metrics.class_mix.push_back({entry.String("label"), ReadCount(entry, "count")});
  }
  metrics.rss_bytes = OptionalCount(reader, "rss_bytes");
  metrics.pss_bytes = OptionalCount(reader, "pss_bytes");
  metrics.cpu_percent = reader.OptionalDouble("cpu_percent");
  metrics.temperature_c = reader.OptionalDouble("temperature_c");
  metrics.throttled = reader.OptionalBool("throttled");
  metrics.throttled_since_boot = reader.OptionalBool("throttled_since_boot");
  metrics.undervoltage = reader.OptionalBool("undervoltage");
  metrics.disk_free_bytes = OptionalCount(reader, "disk_free_bytes");
  if (reader.Has("link")) metrics.link = ReadLink(reader.Object("link"));
  if (reader.Has("location")) metrics.location = ReadLocation(reader.Object("location"));
  metrics.log_bytes = OptionalCount(reader, "log_bytes");
  metrics.log_evicted_files = OptionalCount(reader, "log_evicted_files").value_or(0);
  metrics.queue_packages = ReadCount(reader, "queue_packages");
  metrics.queue_bytes = ReadCount(reader, "queue_bytes");
  metrics.packages_made = ReadCount(reader, "packages_made");
  metrics.packages_evicted = ReadCount(reader, "packages_evicted");
  metrics.packages_dead = ReadCount(reader, "packages_dead");
  metrics.drift_state = reader.String("drift_state", {.bytes_max = 64});
  metrics.mode = reader.String("mode", {.bytes_max = 64});
  if (reader.Has("adaptation")) {
    JsonReader adaptation = reader.Object("adaptation");
    metrics.hypothesis = adaptation.OptionalString("hypothesis");
    metrics.challenger = adaptation.OptionalString("challenger");
  }
  JsonReader model = reader.Object("model");
  metrics.model_name = model.String("name");
  metrics.model_version = model.String("version");
  metrics.model_family = model.String("model_family");
  metrics.bundle = model.String("bundle");
  RETURN_IF_ERROR(reader.status());
  return metrics;
}

}  // namespace protocol
