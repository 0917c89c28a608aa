#include "protocol/metrics.h"

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

}  // namespace

Json ToJson(const DeviceMetrics& metrics) {
  Json stages = Json::MakeArray();
  for (const auto& stage : metrics.stages) {
    stages.Append(Json::MakeObject({{"name", stage.name},
                                    {"p50_ms", stage.p50_ms},
                                    {"p95_ms", stage.p95_ms},
                                    {"p99_ms", stage.p99_ms}}));
  }
  Json class_mix = Json::MakeArray();
  for (const auto& entry : metrics.class_mix) {
    class_mix.Append(Json::MakeObject({{"label", entry.label}, {"count", entry.count}}));
  }
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
       {"accuracy_estimated", metrics.accuracy_estimated},
       {"latency_ms_p50", metrics.latency_ms_p50},
       {"latency_ms_p95", metrics.latency_ms_p95},
       {"latency_ms_p99", metrics.latency_ms_p99},
       {"stages", std::move(stages)},
       {"class_mix", std::move(class_mix)},
       {"rss_bytes", metrics.rss_bytes},
       {"cpu_percent", metrics.cpu_percent},
       {"temperature_c", metrics.temperature_c},
       {"disk_free_bytes", metrics.disk_free_bytes},
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
  metrics.accuracy_estimated = reader.OptionalDouble("accuracy_estimated");
  metrics.latency_ms_p50 = reader.OptionalDouble("latency_ms_p50");
  metrics.latency_ms_p95 = reader.OptionalDouble("latency_ms_p95");
  metrics.latency_ms_p99 = reader.OptionalDouble("latency_ms_p99");
  for (JsonReader& stage : reader.Array("stages", 100)) {
    metrics.stages.push_back({stage.String("name"), stage.Double("p50_ms"), stage.Double("p95_ms"),
                              stage.Double("p99_ms")});
  }
  for (JsonReader& entry : reader.Array("class_mix", 65535)) {
    metrics.class_mix.push_back({entry.String("label"), ReadCount(entry, "count")});
  }
  metrics.rss_bytes = OptionalCount(reader, "rss_bytes");
  metrics.cpu_percent = reader.OptionalDouble("cpu_percent");
  metrics.temperature_c = reader.OptionalDouble("temperature_c");
  metrics.disk_free_bytes = OptionalCount(reader, "disk_free_bytes");
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
