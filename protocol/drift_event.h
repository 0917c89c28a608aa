// drift_event.json: a device noticed that the world has changed. docs/formats/drift_event.md.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace protocol {

inline constexpr std::string_view kDriftEventFormat = "tinylcm-drift-event/1";
inline constexpr std::string_view kDriftEventPath = "drift_event.json";

struct DriftEvent {
  struct Signal {
    std::string name;
    double share = 0.0;
    std::optional<double> shift_sigma = {};  // None of a category, or of an older device.
    friend bool operator==(const Signal&, const Signal&) = default;
  };
  struct ClassShare {
    std::string label;
    double share = 0.0;
    friend bool operator==(const ClassShare&, const ClassShare&) = default;
  };
  struct Channel {
    std::int64_t index = 0;
    std::string name;
    double shift_sigma = 0.0;
    friend bool operator==(const Channel&, const Channel&) = default;
  };

  std::string event_id;
  std::uint64_t sample_index = 0;
  std::string kind;  // abrupt gradual class_mix unseen_class sensor_fault noise unknown
  std::optional<double> sigma;
  std::optional<double> accuracy_drop;
  std::optional<std::pair<double, double>> accuracy_drop_interval;
  std::optional<double> log10_e;
  std::optional<std::int64_t> target_samples;
  std::uint64_t change_point = 0;
  std::optional<std::pair<std::uint64_t, std::uint64_t>> change_point_interval;
  std::vector<Signal> signals;
  std::vector<ClassShare> classes;
  std::vector<Channel> channels;
  std::vector<std::string> samples;
  std::string text;
  std::uint64_t suppressed_since_last = 0;

  friend bool operator==(const DriftEvent&, const DriftEvent&) = default;
};

base::Json ToJson(const DriftEvent& event);
base::Result<DriftEvent> ParseDriftEvent(std::string_view json);

}  // namespace protocol
