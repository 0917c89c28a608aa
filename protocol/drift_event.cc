#include "protocol/drift_event.h"

#include <algorithm>
#include <array>

#include "protocol/identifiers.h"
#include "protocol/json_fields.h"

namespace protocol {

using base::Json;
using base::JsonReader;
using base::Result;

namespace {

template <typename T>
Json PairToJson(const std::optional<std::pair<T, T>>& pair) {
  if (!pair) return {};
  return Json(Json::Array{Json(pair->first), Json(pair->second)});
}

}  // namespace

Json ToJson(const DriftEvent& event) {
  Json signals = Json::MakeArray();
  for (const auto& signal : event.signals) {
    signals.Append(Json::MakeObject(
        {{"name", signal.name}, {"share", signal.share}, {"shift_sigma", signal.shift_sigma}}));
  }
  Json classes = Json::MakeArray();
  for (const auto& share : event.classes) {
    classes.Append(Json::MakeObject({{"label", share.label}, {"share", share.share}}));
  }
  Json channels = Json::MakeArray();
  for (const auto& channel : event.channels) {
    channels.Append(Json::MakeObject(
        {{"index", channel.index}, {"name", channel.name}, {"shift_sigma", channel.shift_sigma}}));
  }
  return Json::MakeObject(
      {{"format", kDriftEventFormat},
       {"event_id", event.event_id},
       {"sample_index", event.sample_index},
       {"kind", event.kind},
       {"severity", Json::MakeObject({{"sigma", event.sigma},
                                      {"accuracy_drop", event.accuracy_drop},
                                      {"interval", PairToJson(event.accuracy_drop_interval)}})},
       {"evidence",
        Json::MakeObject({{"log10_e", event.log10_e}, {"target_samples", event.target_samples}})},
       {"change_point", Json::MakeObject({{"sample_index", event.change_point},
                                          {"interval", PairToJson(event.change_point_interval)}})},
       {"signals", std::move(signals)},
       {"classes", std::move(classes)},
       {"channels", std::move(channels)},
       {"samples", ToJson(event.samples)},
       {"text", event.text},
       {"suppressed_since_last", event.suppressed_since_last}});
}

Result<DriftEvent> ParseDriftEvent(std::string_view text) {
  constexpr std::array<std::string_view, 7> kKinds = {
      "abrupt", "gradual", "class_mix", "unseen_class", "sensor_fault", "noise", "unknown"};
  ASSIGN_OR_RETURN(const Json json, ParseDocument(text));
  JsonReader reader(json, "drift_event.json");
  RETURN_IF_ERROR(CheckFormat(reader, kDriftEventFormat));
  DriftEvent event;
  event.event_id = reader.String("event_id");
  if (!IsPlainId(event.event_id)) reader.Refuse("event_id", "malformed");
  event.sample_index = ReadCount(reader, "sample_index");
  event.kind = reader.String("kind", {.bytes_max = 64});
  // A newer device may know more kinds; it is shown as what this reader knows.
  if (std::find(kKinds.begin(), kKinds.end(), event.kind) == kKinds.end()) event.kind = "unknown";
  JsonReader severity = reader.Object("severity");
  event.sigma = severity.OptionalDouble("sigma");
  event.accuracy_drop = severity.OptionalDouble("accuracy_drop");
  if (severity.Has("interval")) {
    const std::vector<double> interval = ReadNumbers(severity, "interval", 2);
    if (interval.size() != 2) {
      severity.Refuse("interval", "not two numbers");
    } else {
      event.accuracy_drop_interval = {interval[0], interval[1]};
    }
  }
  JsonReader evidence = reader.Object("evidence");
  event.log10_e = evidence.OptionalDouble("log10_e");
  event.target_samples = evidence.OptionalInt("target_samples", {.min = 0});
  JsonReader change = reader.Object("change_point");
  event.change_point = ReadCount(change, "sample_index");
  if (change.Has("interval")) {
    std::vector<std::uint64_t> interval;
    for (JsonReader& end : change.Array("interval", 2)) {
      const std::int64_t index = end.AsInt();
      if (index < 0) end.Refuse("", "negative");
      interval.push_back(static_cast<std::uint64_t>(std::max<std::int64_t>(index, 0)));
    }
    if (interval.size() != 2) {
      change.Refuse("interval", "not two numbers");
    } else {
      event.change_point_interval = {interval[0], interval[1]};
    }
  }
  for (JsonReader& signal : reader.Array("signals", 1000)) {
    event.signals.push_back(
        {signal.String("name"), signal.Double("share"), signal.OptionalDouble("shift_sigma")});
  }
  for (JsonReader& share : reader.Array("classes", 65535)) {
    event.classes.push_back({share.String("label"), share.Double("share")});
  }
  for (JsonReader& channel : reader.Array("channels", 65536)) {
    event.channels.push_back(
        {channel.Int("index", {.min = 0}), channel.String("name"), channel.Double("shift_sigma")});
  }
  event.samples = reader.Strings("samples", 10'000);
  event.text = reader.String("text");
  event.suppressed_since_last = ReadCount(reader, "suppressed_since_last");
  RETURN_IF_ERROR(reader.status());
  return event;
}

}  // namespace protocol
