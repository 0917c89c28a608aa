// Challengers: a closed, reversible set of changes after the feature, for a judge to choose from.
//
//   none | shift the mean | shift mean and variance (all channels, or only those that moved)
//        | remember the labelled samples | ... and their nearest | the same in an aligned space
//
// Alignment is never blind: the anchors it aims at are first re-weighted to the class shares that
// the labels tell, or a stream with more sevens would be "corrected" into one without.

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/cluster.h"
#include "tinylcm/classify/anchors.h"
#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::adapt {

// feature * scale + shift, a channel. Empty: the feature as it is.
struct FeatureTransform {
  std::vector<float> scale;
  std::vector<float> shift;

  bool is_identity() const { return scale.empty(); }
  // REQUIRES: is_identity() or as many values as scale. Does not allocate.
  void Apply(std::span<float> feature) const;
  friend bool operator==(const FeatureTransform&, const FeatureTransform&) = default;
};

enum class Alignment : std::uint8_t {
  kNone = 0,
  kMean = 1,
  kMeanVariance = 2,
  kMovedChannels = 3,  // Mean and variance, of the channels that moved beyond chance only.
};
enum class Memory : std::uint8_t { kNone = 0, kLabelled = 1, kPropagated = 2 };

struct ChallengerKind {
  Alignment alignment = Alignment::kNone;
  Memory memory = Memory::kNone;

  std::string name() const;  // "none", "mean_variance", "moved_channels+propagated".
  bool is_none() const { return alignment == Alignment::kNone && memory == Memory::kNone; }
  friend bool operator==(const ChallengerKind&, const ChallengerKind&) = default;
};

// The closed set, least invasive first.
const std::vector<ChallengerKind>& AllChallengers();
base::Result<ChallengerKind> ParseChallenger(std::string_view name);

// A labelled sample, by its row among the features.
struct LabelledRow {
  std::uint32_t row = 0;
  std::uint16_t label = 0;
};

// Mean and variance a feature channel, per class: made once from the anchors.
struct ClassMoments {
  std::size_t dims = 0;
  std::uint32_t classes = 0;
  std::vector<double> shares;   // One a class.
  std::vector<double> means;    // classes x dims.
  std::vector<double> squares;  // classes x dims: mean of the squares.

  static ClassMoments Of(const classify::Anchors& anchors, std::uint32_t classes);
};

// The class shares that the labels tell: (n * mass of the clusters labelled c + 10 * anchor share)
// / (n + 10), n rows. `clustering` is around the labelled rows, in their order.
std::vector<double> EstimatePriors(const ClassMoments& anchors, const Clustering& clustering,
                                   std::span<const LabelledRow> labelled, std::size_t rows);

// The alignment of `features` (rows x dims) with the anchors under those shares.
FeatureTransform Align(Alignment kind, std::span<const float> features, const ClassMoments& anchors,
                       std::span<const double> priors);

// A vector of the adaptive memory and where it comes from.
struct Provenance {
  std::uint32_t row = 0;        // Among the features.
  std::uint32_t taught_by = 0;  // Index among the labelled rows.
  friend bool operator==(const Provenance&, const Provenance&) = default;
};

// What a challenger adds to the classifier.
struct Challenger {
  ChallengerKind kind;
  FeatureTransform transform;
  classify::Anchors memory;            // In the transformed space.
  std::vector<Provenance> provenance;  // One a vector of the memory.
};

struct ChallengerOptions {
  float weight_labelled = 3.0f;
  float weight_propagated = 1.0f;
  std::uint32_t propagated_max = 8;  // Nearest of the same cluster, a label.
};

// Builds one challenger. Pure; same input, same bits. `left_out`: rows that must not be remembered
// under a neighbour's label, because the judge is about to ask for theirs.
Challenger MakeChallenger(ChallengerKind kind, std::span<const float> features,
                          const ClassMoments& anchors, std::span<const LabelledRow> labelled,
                          const ChallengerOptions& options,
                          std::span<const std::uint32_t> left_out = {});

}  // namespace tinylcm::adapt
