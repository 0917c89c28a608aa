// Challengers: a closed, reversible set of changes after the feature, for a judge to choose from.
//
//   none | shift the mean | shift mean and variance (all channels, or only those that moved)
//        | the covariance too (CORAL, Sun et al. 2016)
//        | remember the labelled samples | ... and their nearest | a linear head on all of them
//        | memory and head in an aligned space | what an earlier meeting with this stream left
//
// Alignment is never blind: the anchors it aims at are first re-weighted to the class shares that
// the labels tell, or a stream with more sevens would be "corrected" into one without. Samples of a
// class that people opened take no part: there is nothing known to align them with.

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

// feature * scale + shift, a channel; or matrix * feature + shift. Empty: the feature as it is.
inline constexpr std::size_t kMatrixDimsMax = 256;
struct FeatureTransform {
  std::vector<float> scale;
  std::vector<float> shift;
  // Row by row, at most kMatrixDimsMax channels; then the scale is its diagonal. Empty: no channel
  // adds to another.
  std::vector<float> matrix = {};

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
  kPseudo = 5,   // What models said themselves (pseudo_labels.h).
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
  float weight = 1.0f;  // In (0, 1].
};

// More channels than this: no linear head is fitted, and no covariance aligned.
inline constexpr std::size_t kHeadDimsMax = 256;
inline constexpr std::size_t kCoralDimsMax = 128;

// Whether features of so many channels can have this challenger.
bool Fits(ChallengerKind kind, std::size_t dims);

// Mean and variance a feature channel, per class: made once from the anchors.
struct ClassMoments {
  std::size_t dims = 0;
  std::uint32_t classes = 0;
  std::size_t rows = 0;         // Anchors.
  std::vector<double> shares;   // One a class.
  std::vector<double> means;    // classes x dims.
  std::vector<double> squares;  // classes x dims: mean of the squares.
  // classes x dims (dims + 1) / 2: mean of the products of channel j with every i <= j. Empty for
  // more than kHeadDimsMax channels.
  std::vector<double> products;
  double shrink = 0.0;  // Ledoit and Wolf's weight for the correlations of all anchors.

  static ClassMoments Of(const classify::Anchors& anchors, std::uint32_t classes);
};

// A linear discriminant on anchors and memory: one covariance for all classes, shrunk by a fifth to
// a scaled identity. A class without a sample is never answered. Classes count alike.
// REQUIRES: anchors.products not empty, labels of the memory below anchors.classes.
classify::HeadTensors FitLda(const ClassMoments& anchors, const classify::Anchors& memory);

// The class shares that the labels tell: (n * mass of the clusters labelled c + 10 * anchor share)
// / (n + 10), n rows. `clustering` is around the labelled rows, in their order.
std::vector<double> EstimatePriors(const ClassMoments& anchors, const Clustering& clustering,
                                   std::span<const LabelledRow> labelled, std::size_t rows);

// The alignment of `features` (rows x dims) with the anchors under those shares. CORAL shrinks both
// correlations by Ledoit and Wolf's weight and .3 more: what it is told by 300 rows is mostly
// noise. Fewer than two rows: the feature as it is.
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

// The alignment that the labels tell: with the anchors under the class shares they estimate.
FeatureTransform AlignByLabels(Alignment kind, std::span<const float> features,
                               const ClassMoments& anchors, std::span<const LabelledRow> labelled);

// Builds one challenger. Pure; same input, same bits. `left_out`: rows that must not be remembered
// under a neighbour's label, because the judge is about to ask for theirs.
Challenger MakeChallenger(ChallengerKind kind, std::span<const float> features,
                          const ClassMoments& anchors, std::span<const LabelledRow> labelled,
                          const ChallengerOptions& options,
                          std::span<const std::uint32_t> left_out = {});
// The same, where AlignByLabels has been done already.
Challenger MakeChallenger(ChallengerKind kind, FeatureTransform transform,
                          std::span<const float> features, const ClassMoments& anchors,
                          std::span<const LabelledRow> labelled, const ChallengerOptions& options,
                          std::span<const std::uint32_t> left_out);

}  // namespace tinylcm::adapt
