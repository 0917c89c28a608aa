// model.json: what a device has learned on top of a bundle, to be kept and given to others.
//
// Beside it lies adaptation.bin, the learned part itself. Neither is a bundle: a publisher makes
// one of base and learned part and signs it before any device installs it. docs/formats/model.md.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace protocol {

inline constexpr std::string_view kModelFormat = "tinylcm-model/1";
inline constexpr std::string_view kModelPath = "model.json";

struct LearnedModel {
  std::string base_bundle;  // SHA-256 (hex) of the manifest of the bundle it stands on.
  std::string name;         // Of that bundle.
  std::string version;
  std::string model_family;
  std::string hypothesis;               // What is done to the input.
  std::string challenger;               // What is done after the feature.
  std::uint64_t labels = 0;             // Of people, that it was judged on.
  std::uint64_t vectors = 0;            // Of its memory.
  std::string adaptation_sha256;        // Of adaptation.bin.
  std::optional<std::string> event_id;  // The drift event it answers.
  std::optional<double> canary_before;  // Share of the canary right without it ...
  std::optional<double> canary_after;   // ... and with it.
  std::vector<std::string> opened;     // Classes that people opened; their ids follow the bundle's.
  std::vector<std::string> taught_by;  // Ids of the feedback that brought the labels.

  friend bool operator==(const LearnedModel&, const LearnedModel&) = default;
};

base::Json ToJson(const LearnedModel& model);
base::Result<LearnedModel> ParseLearnedModel(std::string_view json);

}  // namespace protocol
