#include "tinylcm/adapt/challenger.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/src/classify/cholesky.h"
#include "tinylcm/src/feature/eigenvectors.h"

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
// How much less than Ledoit and Wolf's weight says CORAL believes correlations. On rows their
// weight alone costs a quiet stream 4 points, this one 3 (docs/decisions).
constexpr double kCoralShrink = 0.3;
// How much of the covariance within classes is taken for a sphere (research: a fifth).
constexpr double kLdaShrink = 0.2;
constexpr float kLdaTemperature = 1.0f;
constexpr double kNeverAnswered = -1e6;

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
// Each class's share by `priors`. A class without anchors has no moments; its share goes to the
// others.
std::vector<double> SharesBy(const ClassMoments& anchors, std::span<const double> priors) {
  double total = 0.0;
  for (std::size_t c = 0; c < anchors.classes; ++c) {
    if (anchors.shares[c] > 0.0) total += priors[c];
  }
  std::vector<double> shares(anchors.classes, 0.0);
  for (std::size_t c = 0; c < anchors.classes; ++c) {
    if (!(anchors.shares[c] > 0.0)) continue;
    shares[c] = total > 0.0 ? priors[c] / total : anchors.shares[c];
  }
  return shares;
}

Moments Weighted(const ClassMoments& anchors, std::span<const double> priors) {
  Moments moments{std::vector<double>(anchors.dims, 0.0), std::vector<double>(anchors.dims, 0.0)};
  const std::vector<double> shares = SharesBy(anchors, priors);
  for (std::size_t c = 0; c < anchors.classes; ++c) {
    for (std::size_t j = 0; j < anchors.dims; ++j) {
      moments.mean[j] += shares[c] * anchors.means[c * anchors.dims + j];
      moments.variance[j] += shares[c] * anchors.squares[c * anchors.dims + j];
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

// Row j of the lower half of a symmetric matrix, packed.
constexpr std::size_t RowOf(std::size_t j) { return j * (j + 1) / 2; }

// Ledoit and Wolf's weight (2004) for shrinking the correlations of n rows to none at all, from the
// mean of the rows' fourth powers of length and the correlations (packed).
double ShrinkWeight(double fourth_powers, std::span<const double> correlations, std::size_t dims,
                    double n) {
  double all = 0.0;
  double off = 0.0;
  for (std::size_t j = 0; j < dims; ++j) {
    for (std::size_t i = 0; i < j; ++i) {
      const double value = correlations[RowOf(j) + i];
      off += 2.0 * value * value;
    }
    all += correlations[RowOf(j) + j] * correlations[RowOf(j) + j];
  }
  all += off;
  return off > 0.0 ? std::clamp((fourth_powers - all) / n / off, 0.0, 1.0) : 1.0;
}

struct Covariance {
  std::vector<double> mean;
  std::vector<double> sd;            // 0 for a channel that does not vary.
  std::vector<double> correlations;  // Packed; 1 on the diagonal.
  double shrink = 0.0;
};

// Turns packed second moments about zero into correlations.
void Standardise(Covariance& covariance, std::vector<double> products) {
  constexpr double kTiny = 1e-12;
  const std::size_t dims = covariance.mean.size();
  covariance.sd.assign(dims, 0.0);
  for (std::size_t j = 0; j < dims; ++j) {
    const double variance = products[RowOf(j) + j] - covariance.mean[j] * covariance.mean[j];
    covariance.sd[j] = variance > kTiny ? std::sqrt(variance) : 0.0;
  }
  for (std::size_t j = 0; j < dims; ++j) {
    for (std::size_t i = 0; i < j; ++i) {
      double& value = products[RowOf(j) + i];
      const double scale = covariance.sd[i] * covariance.sd[j];
      value = scale > 0.0 ? (value - covariance.mean[i] * covariance.mean[j]) / scale : 0.0;
    }
    products[RowOf(j) + j] = 1.0;
  }
  covariance.correlations = std::move(products);
}

// Mean over the rows of the fourth power of their length, standardised.
double FourthPowers(std::span<const float> features, std::size_t dims,
                    const Covariance& covariance) {
  const std::size_t rows = features.size() / dims;
  double total = 0.0;
  for (std::size_t row = 0; row < rows; ++row) {
    double squares = 0.0;
    for (std::size_t j = 0; j < dims; ++j) {
      if (!(covariance.sd[j] > 0.0)) continue;
      const double off =
          (static_cast<double>(features[row * dims + j]) - covariance.mean[j]) / covariance.sd[j];
      squares += off * off;
    }
    total += squares * squares;
  }
  return total / static_cast<double>(rows);
}

void AddProducts(std::span<const float> row, double weight, std::span<double> products) {
  std::size_t at = 0;
  for (std::size_t j = 0; j < row.size(); ++j) {
    const double value = weight * static_cast<double>(row[j]);
    for (std::size_t i = 0; i <= j; ++i) products[at++] += value * static_cast<double>(row[i]);
  }
}

Covariance CovarianceOf(std::span<const float> features, std::size_t dims) {
  const std::size_t rows = features.size() / dims;
  const double share = 1.0 / static_cast<double>(rows);
  Covariance covariance{.mean = std::vector<double>(dims, 0.0), .sd = {}, .correlations = {}};
  std::vector<double> products(RowOf(dims), 0.0);
  for (std::size_t row = 0; row < rows; ++row) {
    const std::span<const float> values = features.subspan(row * dims, dims);
    for (std::size_t j = 0; j < dims; ++j) {
      covariance.mean[j] += share * static_cast<double>(values[j]);
    }
    AddProducts(values, share, products);
  }
  Standardise(covariance, std::move(products));
  covariance.shrink = ShrinkWeight(FourthPowers(features, dims, covariance),
                                   covariance.correlations, dims, static_cast<double>(rows));
  return covariance;
}

// The root of the shrunk correlations, or its inverse, [n, n].
std::vector<double> RootOf(const Covariance& covariance, bool is_inverse) {
  const std::size_t dims = covariance.mean.size();
  const double shrink = std::min(1.0, covariance.shrink + kCoralShrink);
  std::vector<double> matrix(dims * dims, 0.0);
  for (std::size_t j = 0; j < dims; ++j) {
    for (std::size_t i = 0; i < j; ++i) {
      matrix[i * dims + j] = matrix[j * dims + i] =
          (1.0 - shrink) * covariance.correlations[RowOf(j) + i];
    }
    matrix[j * dims + j] = 1.0;
  }
  const feature::Eigenvectors vectors = feature::EigenvectorsByQl(std::move(matrix), dims);
  std::vector<double> out(dims * dims, 0.0);
  for (std::size_t k = 0; k < dims; ++k) {
    // Correlations plus a share of the identity: none lies below that share, but for rounding.
    const double root = std::sqrt(std::max(vectors.values[k], 0.5 * kCoralShrink));
    const double value = is_inverse ? 1.0 / root : root;
    const double* const row = vectors.rows.data() + k * dims;
    for (std::size_t i = 0; i < dims; ++i) {
      for (std::size_t j = 0; j < dims; ++j) out[i * dims + j] += value * row[i] * row[j];
    }
  }
  return out;
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
                          options.weight_labelled * labelled[teacher].weight);
    challenger.provenance.push_back({labelled[teacher].row, teacher});
  }
  if (challenger.kind.memory == Memory::kLabelled) return;

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
      challenger.memory.Add(row_of(row), labelled[teacher].label,
                            options.weight_propagated * labelled[teacher].weight);
      challenger.provenance.push_back({row, teacher});
    }
  }
}

}  // namespace

void FeatureTransform::Apply(std::span<float> feature) const {
  if (is_identity()) return;
  CHECK(feature.size() == scale.size());
  const std::size_t dims = feature.size();
  if (matrix.empty()) {
    for (std::size_t j = 0; j < dims; ++j) feature[j] = feature[j] * scale[j] + shift[j];
    return;
  }
  std::array<float, kMatrixDimsMax> from;
  CHECK(dims <= from.size());
  std::copy(feature.begin(), feature.end(), from.begin());
  const float* row = matrix.data();
  for (std::size_t j = 0; j < dims; ++j, row += dims) {
    // Lanes in a fixed order: the same bits everywhere, and no waiting for the last addition.
    constexpr std::size_t kLanes = 16;
    float sums[kLanes] = {};
    std::size_t i = 0;
    for (; i + kLanes <= dims; i += kLanes) {
      for (std::size_t lane = 0; lane < kLanes; ++lane) {
        sums[lane] += row[i + lane] * from[i + lane];
      }
    }
    for (; i < dims; ++i) sums[i % kLanes] += row[i] * from[i];
    for (std::size_t half = kLanes / 2; half > 0; half /= 2) {
      for (std::size_t lane = 0; lane < half; ++lane) sums[lane] += sums[lane + half];
    }
    feature[j] = sums[0] + shift[j];
  }
}

bool FeatureTransform::is_valid() const {
  const std::size_t dims = scale.size();
  if (shift.size() != dims) return false;
  return matrix.empty() || (dims > 0 && dims <= kMatrixDimsMax && matrix.size() == dims * dims);
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

bool Fits(ChallengerKind kind, std::size_t dims) {
  if (kind.alignment == Alignment::kCoral && dims > kCoralDimsMax) return false;
  return kind.memory != Memory::kLda || dims <= kHeadDimsMax;
}

const std::vector<ChallengerKind>& AllChallengers() {
  static const std::vector<ChallengerKind> kAll = {
      {Alignment::kNone, Memory::kNone},
      {Alignment::kMovedChannels, Memory::kNone},
      {Alignment::kMean, Memory::kNone},
      {Alignment::kMeanVariance, Memory::kNone},
      {Alignment::kCoral, Memory::kNone},
      {Alignment::kNone, Memory::kLabelled},
      {Alignment::kNone, Memory::kPropagated},
      {Alignment::kMovedChannels, Memory::kLabelled},
      {Alignment::kMovedChannels, Memory::kPropagated},
      {Alignment::kMean, Memory::kPropagated},
      {Alignment::kMeanVariance, Memory::kLabelled},
      {Alignment::kMeanVariance, Memory::kPropagated},
      {Alignment::kCoral, Memory::kPropagated},
      {Alignment::kNone, Memory::kLda},
      {Alignment::kMovedChannels, Memory::kLda},
      {Alignment::kMeanVariance, Memory::kLda},
      {Alignment::kCoral, Memory::kLda},
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
  moments.rows = anchors.size();
  const std::size_t packed = anchors.dims <= kHeadDimsMax ? RowOf(anchors.dims) : 0;
  moments.products.assign(classes * packed, 0.0);
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
    if (packed > 0) {
      AddProducts(row, 1.0, std::span(moments.products).subspan(c * packed, packed));
    }
  }
  for (std::size_t c = 0; c < classes; ++c) {
    if (!(moments.shares[c] > 0.0)) continue;
    for (std::size_t j = 0; j < anchors.dims; ++j) {
      moments.means[c * anchors.dims + j] /= moments.shares[c];
      moments.squares[c * anchors.dims + j] /= moments.shares[c];
    }
    for (std::size_t i = c * packed; i < (c + 1) * packed; ++i) {
      moments.products[i] /= moments.shares[c];
    }
    moments.shares[c] /= static_cast<double>(anchors.size());
  }
  if (packed > 0 && anchors.size() > 0) {
    moments.shrink = CovarianceOf(anchors.vectors, anchors.dims).shrink;
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

classify::HeadTensors FitLda(const ClassMoments& anchors, const classify::Anchors& memory) {
  const std::size_t dims = anchors.dims;
  const std::size_t packed = RowOf(dims);
  CHECK(anchors.products.size() == anchors.classes * packed);
  std::vector<double> members(anchors.classes, 0.0);
  std::vector<double> means(anchors.classes * dims, 0.0);
  std::vector<double> spread(packed, 0.0);
  for (std::size_t c = 0; c < anchors.classes; ++c) {
    members[c] = anchors.shares[c] * static_cast<double>(anchors.rows);
    for (std::size_t j = 0; j < dims; ++j) {
      means[c * dims + j] = members[c] * anchors.means[c * dims + j];
    }
    for (std::size_t i = 0; i < packed; ++i) {
      spread[i] += members[c] * anchors.products[c * packed + i];
    }
  }
  for (std::size_t i = 0; i < memory.size(); ++i) {
    const double weight = static_cast<double>(memory.weight(i));
    const std::span<const float> row = memory.row(i);
    double* const mean = means.data() + memory.labels[i] * dims;
    members[memory.labels[i]] += weight;
    for (std::size_t j = 0; j < dims; ++j) mean[j] += weight * static_cast<double>(row[j]);
    AddProducts(row, weight, spread);
  }
  double total = 0.0;
  for (std::size_t c = 0; c < anchors.classes; ++c) {
    if (!(members[c] > 0.0)) continue;
    total += members[c];
    std::size_t at = 0;
    for (std::size_t j = 0; j < dims; ++j) means[c * dims + j] /= members[c];
    for (std::size_t j = 0; j < dims; ++j) {
      for (std::size_t i = 0; i <= j; ++i) {
        spread[at++] -= members[c] * means[c * dims + j] * means[c * dims + i];
      }
    }
  }
  const double freedom = std::max(1.0, total - static_cast<double>(anchors.classes));
  double trace = 0.0;
  for (std::size_t j = 0; j < dims; ++j) trace += spread[RowOf(j) + j] / freedom;
  const double sphere = std::max(1e-9, kLdaShrink * trace / static_cast<double>(dims));
  std::vector<double> root(dims * dims, 0.0);
  for (std::size_t j = 0; j < dims; ++j) {
    for (std::size_t i = 0; i <= j; ++i) {
      root[j * dims + i] = (1.0 - kLdaShrink) * spread[RowOf(j) + i] / freedom;
    }
    root[j * dims + j] += sphere;
  }
  CHECK(classify::Cholesky(root, dims));

  classify::HeadTensors head;
  head.temperature = kLdaTemperature;
  for (std::size_t c = 0; c < anchors.classes; ++c) {
    std::vector<double> w(means.begin() + static_cast<std::ptrdiff_t>(c * dims),
                          means.begin() + static_cast<std::ptrdiff_t>((c + 1) * dims));
    double bias = members[c] > 0.0 ? 0.0 : kNeverAnswered;
    if (members[c] > 0.0) {
      classify::SolveCholesky(root, dims, w);
      for (std::size_t j = 0; j < dims; ++j) bias -= 0.5 * w[j] * means[c * dims + j];
    }
    for (const double value : w) head.weights.push_back(static_cast<float>(value));
    head.bias.push_back(static_cast<float>(bias));
  }
  return head;
}

namespace {

// Takes the stream's covariance to the anchors': the spread of every channel by itself, so that the
// gain of a channel is undone exactly; then what channels have to do with each other.
FeatureTransform Coral(std::span<const float> features, const ClassMoments& anchors,
                       std::span<const double> priors) {
  const std::size_t dims = anchors.dims;
  const std::size_t packed = RowOf(dims);
  CHECK(anchors.products.size() == anchors.classes * packed);
  const double rows = static_cast<double>(features.size() / dims);
  const Covariance stream = CovarianceOf(features, dims);
  Covariance reference{.mean = std::vector<double>(dims, 0.0), .sd = {}, .correlations = {}};
  reference.shrink = anchors.shrink;
  std::vector<double> products(packed, 0.0);
  const std::vector<double> shares = SharesBy(anchors, priors);
  for (std::size_t c = 0; c < anchors.classes; ++c) {
    for (std::size_t j = 0; j < dims; ++j) {
      reference.mean[j] += shares[c] * anchors.means[c * dims + j];
    }
    for (std::size_t i = 0; i < packed; ++i) {
      products[i] += shares[c] * anchors.products[c * packed + i];
    }
  }
  Standardise(reference, std::move(products));

  const std::vector<double> there = RootOf(reference, false);
  const std::vector<double> back = RootOf(stream, true);
  // A channel that does not vary, here or there, only moves.
  const auto spread = [](const Covariance& of, std::size_t at) {
    return of.sd[at] > 0.0 ? of.sd[at] : 1.0;
  };
  FeatureTransform transform;
  transform.matrix.reserve(dims * dims);
  for (std::size_t j = 0; j < dims; ++j) {
    std::vector<double> row(dims, 0.0);
    for (std::size_t k = 0; k < dims; ++k) {
      for (std::size_t i = 0; i < dims; ++i) row[i] += there[j * dims + k] * back[k * dims + i];
    }
    double shift = reference.mean[j];
    for (std::size_t i = 0; i < dims; ++i) {
      const double seen = spread(stream, i);
      const double known = spread(reference, i);
      const double believed = std::sqrt(Between(seen * seen, known * known, rows));
      const double value = row[i] * spread(reference, j) / believed;
      shift -= value * stream.mean[i];
      transform.matrix.push_back(static_cast<float>(value));
    }
    transform.scale.push_back(transform.matrix[j * dims + j]);
    transform.shift.push_back(static_cast<float>(shift));
  }
  return transform;
}

}  // namespace

FeatureTransform Align(Alignment kind, std::span<const float> features, const ClassMoments& anchors,
                       std::span<const double> priors) {
  FeatureTransform transform;
  const std::size_t dims = anchors.dims;
  if (kind == Alignment::kNone || features.size() < 2 * dims) return transform;
  CHECK(features.size() % dims == 0 && priors.size() == anchors.classes);
  const double rows = static_cast<double>(features.size() / dims);
  if (kind == Alignment::kCoral) return Coral(features, anchors, priors);
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

FeatureTransform AlignByLabels(Alignment kind, std::span<const float> features,
                               const ClassMoments& anchors, std::span<const LabelledRow> labelled) {
  if (kind == Alignment::kNone || labelled.empty()) return {};
  const std::size_t dims = anchors.dims;
  const Clustering clustering = ClusterAround(features, dims, RowsOf(labelled));
  const std::vector<double> priors =
      EstimatePriors(anchors, clustering, labelled, features.size() / dims);
  std::vector<float> known;
  for (std::size_t row = 0; row < clustering.cluster_of.size(); ++row) {
    if (!(anchors.shares[labelled[clustering.cluster_of[row]].label] > 0.0)) continue;
    const std::span<const float> of_known = features.subspan(row * dims, dims);
    known.insert(known.end(), of_known.begin(), of_known.end());
  }
  return Align(kind, known, anchors, priors);
}

Challenger MakeChallenger(ChallengerKind kind, std::span<const float> features,
                          const ClassMoments& anchors, std::span<const LabelledRow> labelled,
                          const ChallengerOptions& options,
                          std::span<const std::uint32_t> left_out) {
  return MakeChallenger(kind, AlignByLabels(kind.alignment, features, anchors, labelled), features,
                        anchors, labelled, options, left_out);
}

Challenger MakeChallenger(ChallengerKind kind, FeatureTransform transform,
                          std::span<const float> features, const ClassMoments& anchors,
                          std::span<const LabelledRow> labelled, const ChallengerOptions& options,
                          std::span<const std::uint32_t> left_out) {
  Challenger challenger;
  challenger.kind = kind;
  challenger.transform = std::move(transform);
  if (kind.memory != Memory::kNone && !labelled.empty()) {
    Remember(challenger, Transformed(features, anchors.dims, challenger.transform), anchors.dims,
             labelled, options, left_out);
    if (kind.memory == Memory::kLda) challenger.head = FitLda(anchors, challenger.memory);
  }
  return challenger;
}

}  // namespace tinylcm::adapt
