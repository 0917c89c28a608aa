// Challengers: a closed, reversible set of changes after the feature, for a judge to choose from.
//
//   none | shift the mean | shift mean and variance (all channels, or only those that moved)
//        | remember the labelled samples | ... and their nearest | the same in an aligned space
//
// Alignment is never blind: the anchors it aims at are first re-weighted to the class shares that
// the labels tell, or a stream with more sevens would be "corrected" into one without.

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/cluster.h"
#include "tinylcm/classify/anchors.h"
#include "tinylcm/classify/head.h"
#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::adapt {

// feature * scale + shift, a channel, plus what the channels before it add. Empty: the feature as
// it is.
//
//   out[j] = scale[j] x[j] + shift[j] + sum over i < j of lower[j (j - 1) / 2 + i] x[i]
//
// A full change of covariance in half a matrix (the Cholesky factors of two covariances make one),
// and from the last channel backwards it is done in place.
struct FeatureTransform {
  std::vector<float> scale;
  std::vector<float> shift;
  std::vector<float> lower = {};  // Row by row; empty: no channel adds to another.

  bool is_identity() const { return scale.empty(); }
  // Whether the sizes fit each other.
  bool is_valid() const;
  // REQUIRES: is_identity() or as many values as scale. Does not allocate.
  void Apply(std::span<float> feature) const;
  friend bool operator==(const FeatureTransform&, const FeatureTransform&) = default;
};

enum class Alignment : std::uint8_t {
  kNone = 0,
  kMean = 1,
  kMeanVariance = 2,
  kMovedChannels = 3,  // Mean and variance, of the channels that moved beyond chance only.
  kCoral = 4,          // Mean and covariance.
};
enum class Memory : std::uint8_t {
  kNone = 0,
  kLabelled = 1,
  kPropagated = 2,
  kLda = 3,      // Propagated, and a linear head on anchors and memory.
  kConcept = 4,  // Transform, memory and head as an earlier meeting with this stream left them.
  kPseudo = 5,   // What the models agree on; off by default.
};

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
  std::optional<classify::HeadTensors> head;
};

// The head's word in place of the vote: label, share and confidence of `prediction`, which `knn`
// gave for the same feature, and `share`. Distances and neighbours stay. REQUIRES: share.size() is
// knn.classes(). Does not allocate.
void AnswerByHead(const classify::HeadTensors& head, const classify::KnnClassifier& knn,
                  std::span<const float> feature, std::span<float> share,
                  classify::Prediction& prediction);

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
