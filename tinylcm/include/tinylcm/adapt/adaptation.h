// Adaptation: all that a device changed about its bundle, as one value.
//
// It belongs to the bundle it was made for. Its bytes are versioned and checksummed, and writing
// what was read gives the same bytes, so a rollback is exact. Format: docs/formats/device_state.md.

#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/adapt/challenger.h"
#include "tinylcm/adapt/input_hypothesis.h"
#include "tinylcm/adapt/input_search.h"
#include "tinylcm/adapt/judge.h"
#include "tinylcm/adapt/quarantine.h"
#include "tinylcm/classify/head.h"

namespace tinylcm::adapt {

// kPseudo: no person said it, not even of a neighbour (pseudo_labels.h).
enum class LabelOrigin : std::uint8_t { kPerson = 0, kPropagated = 1, kPseudo = 2 };

struct MemoryEntry {
  std::string sample_id;
  std::string taught_by;    // The labelled sample; sample_id itself if a person labelled it.
  std::string feedback_id;  // That brought the label.
  LabelOrigin origin = LabelOrigin::kPerson;
  std::uint32_t cluster = 0;
  friend bool operator==(const MemoryEntry&, const MemoryEntry&) = default;
};

struct Adaptation {
  std::string bundle;    // SHA-256 (hex) of the base bundle's manifest.
  std::string event_id;  // The drift event it answers; empty for none.
  InputHypothesis hypothesis;
  ChallengerKind challenger;
  FeatureTransform transform;
  classify::Anchors memory;          // In the transformed space.
  std::vector<MemoryEntry> entries;  // One a vector of the memory.
  // Answers instead of the vote, in the transformed space; distances stay the neighbours'.
  std::optional<classify::HeadTensors> head;
  // Names of classes the bundle never had and people opened; their labels follow the bundle's.
  std::vector<std::string> opened;
  std::vector<Label> labels;  // What it was judged on.

  bool is_none() const { return hypothesis.is_identity() && challenger.is_none(); }
  std::string name() const;  // "flat_field + moved_channels".
  // What was accepted of the input, and nothing that was learned behind it.
  Adaptation InputAlone() const;
  friend bool operator==(const Adaptation&, const Adaptation&) = default;
};

// Version 2. Version 1 (no head, no opened classes, labels of weight 1) is still read.
base::Bytes Serialise(const Adaptation& adaptation);
base::Result<Adaptation> ParseAdaptation(base::ByteView bytes);

// Puts a judgement's challenger on top of an accepted input. `rows[i]` is the sample of feature row
// i; `opened` names the classes behind the bundle's; `met_before` is where the judge's challenger
// of that kind came from, and is there if it won.
Adaptation Compose(const std::string& bundle, const std::string& event_id,
                   const InputHypothesis& hypothesis, const Judgement& judgement,
                   std::span<const std::string> rows, std::span<const Label> labels,
                   std::span<const std::string> opened = {},
                   const Adaptation* met_before = nullptr);

// Takes an adaptation over to another bundle.
struct CarryRequest {
  std::string bundle;  // The new one's identity.
  const Adaptation* adaptation = nullptr;
  classify::KnnClassifier* knn = nullptr;  // Of the new bundle.
  // Images: an InputSearch of {identity, the old hypothesis} under the new model, over the same
  // samples as `rows`. Rows of sensors: nullptr, and `features` holds them.
  const InputSearch* search = nullptr;
  std::span<const float> features;    // Without search: rows x dims under the new bundle.
  std::span<const std::string> rows;  // Sample ids.
  std::span<const Label> labels;      // Still standing, of samples among `rows`.
  SearchRule search_rule;
  JudgeRule judge_rule;
};
struct Carried {
  Adaptation adaptation;
  bool hypothesis_kept = false;
  bool challenger_kept = false;      // The same kind won again.
  std::vector<std::string> dropped;  // What was not kept, one line each, for the report.
};
base::Result<Carried> Carry(const CarryRequest& request);

}  // namespace tinylcm::adapt
