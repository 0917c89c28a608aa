#include "tinylcm/adapt/challenger.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::adapt {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;

namespace {

// How strongly the anchors' class shares and variances hold against what was seen, in samples
// (research: 10 and 30; means are trusted after 3).
constexpr double kPriorSamples = 10.0;
constexpr double kVarianceSamples = 30.0;
constexpr double kMeanSamples = 3.0;

// A channel counts as moved when its mean or its spread differs from the anchors' by more than
// chance explains (4 standard errors: one channel in sixteen thousand by luck) and by enough to
// matter. A channel left alone adds no noise of its own.
constexpr double kMovedStandardErrors = 4.0;
constexpr double kMovedSigmaMin = 0.35;
constexpr double kMovedSpreadMin = 0.45;  // |log(variance ratio)|: a factor of about 1.25 in sd.

constexpr std::array<std::string_view, 5> kAlignmentNames = {"", "mean", "mean_variance",
                                                             "moved_channels", "coral"};
constexpr std::array<std::string_view, 6> kMemoryNames = {"",    "labelled", "propagated",
                                                          "lda", "concept",  "pseudo"};

struct Moments {
  std::vector<double> mean;
  std::vector<double> variance;
};

Moments MomentsOf(std::span<const float> features, std::size_t dims) {
  const std::size_t rows = features.size() / dims;
  Moments moments{std::vector<double>(dims, 0.0), std::vector<double>(dims, 0.0)};
  for (std::size_t i = 0; i < features.size(); ++i) {
    moments.mean[i % dims] += static_cast<double>(features[i]);
  }
  for (double& value : moments.mean) value /= static_cast<double>(rows);
  for (std::size_t i = 0; i < features.size(); ++i) {
    const double off = static_cast<double>(features[i]) - moments.mean[i % dims];
    moments.variance[i % dims] += off * off;
  }
  for (double& value : moments.variance) value /= static_cast<double>(rows);
  return moments;
}

// The anchors' moments, had they come in these shares.
Moments Weighted(const ClassMoments& anchors, std::span<const double> priors) {
  Moments moments{std::vector<double>(anchors.dims, 0.0), std::vector<double>(anchors.dims, 0.0)};
  // A class without anchors has no moments; its share goes to the others.
  double total = 0.0;
  for (std::size_t c = 0; c < anchors.classes; ++c) {
    if (anchors.shares[c] > 0.0) total += priors[c];
  }
  for (std::size_t c = 0; c < anchors.classes; ++c) {
    if (!(anchors.shares[c] > 0.0)) continue;
    const double share = total > 0.0 ? priors[c] / total : anchors.shares[c];
    for (std::size_t j = 0; j < anchors.dims; ++j) {
      moments.mean[j] += share * anchors.means[c * anchors.dims + j];
      moments.variance[j] += share * anchors.squares[c * anchors.dims + j];
    }
  }
  for (std::size_t j = 0; j < anchors.dims; ++j) {
    moments.variance[j] = std::max(0.0, moments.variance[j] - moments.mean[j] * moments.mean[j]);
  }
  return moments;
}

// A channel that moved beyond doubt is believed almost entirely. In logarithms, or a tenth of the
// old variance would outweigh nine tenths of one that shrank elevenfold (gain x 0.3): the
// correction would come out as 2.4 where 3.3 is right.
double Between(double variance, double reference_variance, double rows) {
  constexpr double kTiny = 1e-12;
  return std::exp((rows * std::log(std::max(kTiny, variance)) +
                   kMeanSamples * std::log(std::max(kTiny, reference_variance))) /
                  (rows + kMeanSamples));
}

bool HasMoved(double mean, double variance, double reference_mean, double reference_variance,
              double rows) {
  constexpr double kTiny = 1e-12;
  const double sd = std::sqrt(std::max(kTiny, reference_variance));
  const double shift = std::abs(mean - reference_mean) / sd;
  if (shift > kMovedSigmaMin && shift > kMovedStandardErrors / std::sqrt(rows)) return true;
  // The log of a sample variance has a standard error near sqrt(2 / n).
  const double spread = std::abs(std::log(std::max(kTiny, variance) / (sd * sd)));
  return spread > kMovedSpreadMin && spread > kMovedStandardErrors * std::sqrt(2.0 / rows);
}

std::vector<float> Transformed(std::span<const float> features, std::size_t dims,
                               const FeatureTransform& transform) {
  std::vector<float> out(features.begin(), features.end());
  for (std::size_t at = 0; at < out.size(); at += dims) {
    transform.Apply(std::span(out).subspan(at, dims));
  }
  return out;
}

double SquaredDistance(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (std::size_t j = 0; j < a.size(); ++j) {
    const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
    sum += difference * difference;
  }
  return sum;
}

std::vector<std::uint32_t> RowsOf(std::span<const LabelledRow> labelled) {
  std::vector<std::uint32_t> rows;
  for (const LabelledRow& label : labelled) rows.push_back(label.row);
  return rows;
}

void Remember(Challenger& challenger, std::span<const float> space, std::size_t dims,
              std::span<const LabelledRow> labelled, const ChallengerOptions& options,
              std::span<const std::uint32_t> left_out) {
  challenger.memory.dims = dims;
  const auto row_of = [&](std::uint32_t row) { return space.subspan(row * dims, dims); };
  for (std::uint32_t teacher = 0; teacher < labelled.size(); ++teacher) {
    challenger.memory.Add(row_of(labelled[teacher].row), labelled[teacher].label,
                          options.weight_labelled);
    challenger.provenance.push_back({labelled[teacher].row, teacher});
  }
  if (challenger.kind.memory != Memory::kPropagated) return;

  const std::vector<std::uint32_t> centres = RowsOf(labelled);
  const Clustering clustering = ClusterAround(space, dims, centres);
  for (std::uint32_t teacher = 0; teacher < labelled.size(); ++teacher) {
    std::vector<std::pair<double, std::uint32_t>> near;
    for (std::uint32_t row = 0; row < clustering.cluster_of.size(); ++row) {
      if (clustering.cluster_of[row] != teacher) continue;
      // A labelled row speaks for itself; one left out must not be told its answer.
      if (std::find(centres.begin(), centres.end(), row) != centres.end()) continue;
      if (std::find(left_out.begin(), left_out.end(), row) != left_out.end()) continue;
      near.emplace_back(SquaredDistance(row_of(row), row_of(labelled[teacher].row)), row);
    }
    std::sort(near.begin(), near.end());
    if (near.size() > options.propagated_max) near.resize(options.propagated_max);
    for (const auto& [distance, row] : near) {
      challenger.memory.Add(row_of(row), labelled[teacher].label, options.weight_propagated);
      challenger.provenance.push_back({row, teacher});
    }
  }
}

}  // namespace

void FeatureTransform::Apply(std::span<float> feature) const {
  if (is_identity()) return;
  CHECK(feature.size() == scale.size());
  if (lower.empty()) {
    for (std::size_t j = 0; j < feature.size(); ++j) feature[j] = feature[j] * scale[j] + shift[j];
    return;
  }
  // Backwards: a channel is made of itself and of those before it, which are still as they came.
  const float* row = lower.data() + lower.size();
  for (std::size_t j = feature.size(); j-- > 0;) {
    row -= j;
    // Four sums in a fixed order: the same bits everywhere, and no waiting for the last addition.
    float sums[4] = {feature[j] * scale[j] + shift[j], 0.0f, 0.0f, 0.0f};
    std::size_t i = 0;
    for (; i + 4 <= j; i += 4) {
      for (std::size_t lane = 0; lane < 4; ++lane) sums[lane] += row[i + lane] * feature[i + lane];
    }
    for (; i < j; ++i) sums[0] += row[i] * feature[i];
    feature[j] = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  }
}

bool FeatureTransform::is_valid() const {
  const std::size_t dims = scale.size();
  if (shift.size() != dims) return false;
  return lower.empty() || (dims > 0 && lower.size() == dims * (dims - 1) / 2);
}

void AnswerByHead(const classify::HeadTensors& head, const classify::KnnClassifier& knn,
                  std::span<const float> feature, std::span<float> share,
                  classify::Prediction& prediction) {
  CHECK(share.size() == knn.classes());
  classify::Probabilities(head, feature, share);
  const auto top = std::max_element(share.begin(), share.end());
  prediction.nearest = static_cast<std::uint16_t>(top - share.begin());
  prediction.share = *top;
  prediction.confidence = knn.calibration().Confidence(*top, prediction.mean_distance);
  prediction.label = prediction.confidence < knn.options().unknown_below ? classify::kUnknownLabel
                                                                         : prediction.nearest;
}

std::string ChallengerKind::name() const {
  if (is_none()) return "none";
  const std::string_view aligned = kAlignmentNames[static_cast<std::size_t>(alignment)];
  const std::string_view remembered = kMemoryNames[static_cast<std::size_t>(memory)];
  return StrCat(aligned, aligned.empty() || remembered.empty() ? "" : "+", remembered);
}

const std::vector<ChallengerKind>& AllChallengers() {
  static const std::vector<ChallengerKind> kAll = {
      {Alignment::kNone, Memory::kNone},
      {Alignment::kMovedChannels, Memory::kNone},
      {Alignment::kMean, Memory::kNone},
      {Alignment::kMeanVariance, Memory::kNone},
      {Alignment::kNone, Memory::kLabelled},
      {Alignment::kNone, Memory::kPropagated},
      {Alignment::kMovedChannels, Memory::kLabelled},
      {Alignment::kMovedChannels, Memory::kPropagated},
      {Alignment::kMean, Memory::kPropagated},
      {Alignment::kMeanVariance, Memory::kLabelled},
      {Alignment::kMeanVariance, Memory::kPropagated},
  };
  return kAll;
}

Result<ChallengerKind> ParseChallenger(std::string_view name) {
  for (const ChallengerKind& kind : AllChallengers()) {
    if (kind.name() == name) return kind;
  }
  return Error{ErrorCode::kInvalidArgument, StrCat("challenger: ", name, " is not one of them")};
}

ClassMoments ClassMoments::Of(const classify::Anchors& anchors, std::uint32_t classes) {
  ClassMoments moments;
  moments.dims = anchors.dims;
  moments.classes = classes;
  moments.shares.assign(classes, 0.0);
  moments.means.assign(classes * anchors.dims, 0.0);
  moments.squares.assign(classes * anchors.dims, 0.0);
  for (std::size_t i = 0; i < anchors.size(); ++i) {
    const std::size_t c = anchors.labels[i];
    CHECK(c < classes);
    moments.shares[c] += 1.0;
    const std::span<const float> row = anchors.row(i);
    for (std::size_t j = 0; j < anchors.dims; ++j) {
      const double value = static_cast<double>(row[j]);
      moments.means[c * anchors.dims + j] += value;
      moments.squares[c * anchors.dims + j] += value * value;
    }
  }
  for (std::size_t c = 0; c < classes; ++c) {
    if (!(moments.shares[c] > 0.0)) continue;
    for (std::size_t j = 0; j < anchors.dims; ++j) {
      moments.means[c * anchors.dims + j] /= moments.shares[c];
      moments.squares[c * anchors.dims + j] /= moments.shares[c];
    }
    moments.shares[c] /= static_cast<double>(anchors.size());
  }
  return moments;
}

std::vector<double> EstimatePriors(const ClassMoments& anchors, const Clustering& clustering,
                                   std::span<const LabelledRow> labelled, std::size_t rows) {
  CHECK(clustering.masses.size() == labelled.size());
  const double n = static_cast<double>(rows);
  std::vector<double> priors(anchors.classes);
  for (std::size_t c = 0; c < priors.size(); ++c) {
    priors[c] = kPriorSamples * anchors.shares[c] / (n + kPriorSamples);
  }
  for (std::size_t i = 0; i < labelled.size(); ++i) {
    CHECK(labelled[i].label < anchors.classes);
    priors[labelled[i].label] +=
        n * static_cast<double>(clustering.masses[i]) / (n + kPriorSamples);
  }
  return priors;
}

FeatureTransform Align(Alignment kind, std::span<const float> features, const ClassMoments& anchors,
                       std::span<const double> priors) {
  FeatureTransform transform;
  const std::size_t dims = anchors.dims;
  if (kind == Alignment::kNone || features.empty()) return transform;
  CHECK(features.size() % dims == 0 && priors.size() == anchors.classes);
  const double rows = static_cast<double>(features.size() / dims);
  const Moments stream = MomentsOf(features, dims);
  const Moments reference = Weighted(anchors, priors);
  transform.scale.assign(dims, 1.0f);
  transform.shift.assign(dims, 0.0f);
  for (std::size_t j = 0; j < dims; ++j) {
    const double away = reference.mean[j] - stream.mean[j];
    if (kind == Alignment::kMean) {
      transform.shift[j] = static_cast<float>(away * rows / (rows + kMeanSamples));
      continue;
    }
    if (kind == Alignment::kMovedChannels &&
        !HasMoved(stream.mean[j], stream.variance[j], reference.mean[j], reference.variance[j],
                  rows)) {
      continue;
    }
    const double variance =
        kind == Alignment::kMovedChannels
            ? Between(stream.variance[j], reference.variance[j], rows)
            : (rows * stream.variance[j] + kVarianceSamples * reference.variance[j]) /
                  (rows + kVarianceSamples);
    const double scale = variance > 0.0 && reference.variance[j] > 0.0
                             ? std::sqrt(reference.variance[j] / variance)
                             : 1.0;
    transform.scale[j] = static_cast<float>(scale);
    transform.shift[j] = static_cast<float>(reference.mean[j] - stream.mean[j] * scale);
  }
  return transform;
}

Challenger MakeChallenger(ChallengerKind kind, std::span<const float> features,
                          const ClassMoments& anchors, std::span<const LabelledRow> labelled,
                          const ChallengerOptions& options,
                          std::span<const std::uint32_t> left_out) {
  Challenger challenger;
  challenger.kind = kind;
  const std::size_t dims = anchors.dims;
  if (kind.alignment != Alignment::kNone && !labelled.empty()) {
    const Clustering clustering = ClusterAround(features, dims, RowsOf(labelled));
    const std::vector<double> priors =
        EstimatePriors(anchors, clustering, labelled, features.size() / dims);
    challenger.transform = Align(kind.alignment, features, anchors, priors);
  }
  if (kind.memory != Memory::kNone && !labelled.empty()) {
    Remember(challenger, Transformed(features, dims, challenger.transform), dims, labelled, options,
             left_out);
  }
  return challenger;
}

}  // namespace tinylcm::adapt
