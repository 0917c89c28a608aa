// QuarantinedSample: one input worth a person's look, with what the device thought of it.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::adapt {

// `raw` and `feature` are always those of the *bundle alone*: the picture before any input
// hypothesis, the feature before any feature transform. So they mean the same whatever was being
// served when the sample came by, and the judge starts from firm ground.
struct QuarantinedSample {
  std::string sample_id;
  std::uint64_t index = 0;       // Which inference this was.
  std::uint16_t prediction = 0;  // What was answered then (classify::kUnknownLabel: "unknown").
  float confidence = 0.0f;
  float distance = 0.0f;    // To the anchors.
  float novelty = 0.5f;     // That distance beside its class's usual one: Novelty() in question.h.
  float stands_for = 1.0f;  // Samples: itself, and those that gave way to it.
  std::vector<classify::Neighbour> neighbours;
  std::string reason;          // Why it was taken: "drift", ...
  std::string bundle;          // That ran then; empty where an earlier version did not say.
  std::vector<float> raw;      // A sensor row, or the model's output.
  std::vector<float> feature;  // After the bundle's processor.
  bool has_picture = false;    // Its bytes lie in the quarantine's file.
};

// A person's word on a sample.
struct Label {
  std::string sample_id;
  std::uint16_t label = 0;  // Of the bundle, or behind the last of them: opened (adaptation.h).
  std::string feedback_id;
  float weight = 1.0f;  // In (0, 1]: less where the people who looked at it disagree.
  friend bool operator==(const Label&, const Label&) = default;
};

}  // namespace tinylcm::adapt
