#include "tinylcm/classify/knn_classifier.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::classify {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();

// 1 / length, or 0 for a vector without a direction (its cosine distance to all is then 1).
float InverseLength(std::span<const float> vector) {
  double squares = 0.0;
  for (const float value : vector)
    squares += static_cast<double>(value) * static_cast<double>(value);
  return squares > 0.0 ? static_cast<float>(1.0 / std::sqrt(squares)) : 0.0f;
}

// Rows padded to `stride`; for cosine brought to unit length, so that a dot product is the cosine.
std::vector<float> PadRows(const Anchors& anchors, std::size_t stride, Metric metric) {
  std::vector<float> rows(anchors.size() * stride, 0.0f);
  for (std::size_t i = 0; i < anchors.size(); ++i) {
    const std::span<const float> row = anchors.row(i);
    const float factor = metric == Metric::kCosine ? InverseLength(row) : 1.0f;
    for (std::size_t j = 0; j < row.size(); ++j) rows[i * stride + j] = row[j] * factor;
  }
  return rows;
}

// The k nearest so far, nearest first; equal distances keep the order in which they came.
class Nearest {
 public:
  explicit Nearest(std::size_t k) : k_(k) {}

  void Add(const Neighbour& neighbour) {
    if (count_ == k_ && !(neighbour.distance < found_[count_ - 1].distance)) return;
    std::size_t at = count_ < k_ ? count_++ : count_ - 1;
    for (; at > 0 && neighbour.distance < found_[at - 1].distance; --at)
      found_[at] = found_[at - 1];
    found_[at] = neighbour;
  }

  std::span<const Neighbour> found() const { return {found_.data(), count_}; }

  float MeanDistance() const {
    double sum = 0.0;
    for (const Neighbour& neighbour : found()) sum += static_cast<double>(neighbour.distance);
    return count_ == 0 ? 0.0f : static_cast<float>(sum / static_cast<double>(count_));
  }

 private:
  std::size_t k_;
  std::size_t count_ = 0;
  std::array<Neighbour, kNeighboursMax> found_{};
};

}  // namespace

base::Result<KnnClassifier> KnnClassifier::Create(const Options& options, const Anchors& anchors,
                                                  const Calibration& calibration) {
  if (options.classes == 0 || options.classes >= kUnknownLabel) {
    return Error{ErrorCode::kInvalidArgument, "knn: classes must be 1 to 65534"};
  }
  if (options.k == 0 || options.k > kNeighboursMax) {
    return Error{ErrorCode::kInvalidArgument, base::StrCat("knn: k must be 1 to ", kNeighboursMax)};
  }
  if (!(options.unknown_below >= 0.0f && options.unknown_below <= 1.0f)) {
    return Error{ErrorCode::kInvalidArgument, "knn: unknown_below must be between 0 and 1"};
  }
  if (anchors.size() == 0) return Error{ErrorCode::kInvalidArgument, "knn: there are no anchors"};
  RETURN_IF_ERROR(Validate(anchors, options.classes));
  RETURN_IF_ERROR(Validate(calibration));
  return KnnClassifier(options, anchors, calibration);
}

KnnClassifier::KnnClassifier(const Options& options, const Anchors& anchors,
                             const Calibration& calibration)
    : options_(options),
      anchors_(anchors),
      calibration_(calibration),
      dims_(anchors.dims),
      stride_(PaddedSize(anchors.dims)),
      anchor_rows_(PadRows(anchors, stride_, options.metric)),
      query_(stride_, 0.0f),
      distances_(anchors.size(), 0.0f),
      tally_(options.classes, 0.0) {
  memory_.dims = dims_;
}

base::Status KnnClassifier::SetMemory(const Anchors& memory) {
  RETURN_IF_ERROR(Validate(memory, options_.classes));
  if (memory.size() > 0 && memory.dims != dims_) {
    return Error{
        ErrorCode::kInvalidArgument,
        base::StrCat("knn: memory of ", memory.dims, " dimensions beside anchors of ", dims_)};
  }
  if (memory.size() > options_.memory_max) {
    return Error{ErrorCode::kExhausted, base::StrCat("knn: memory of ", memory.size(),
                                                     " vectors, at most ", options_.memory_max)};
  }
  memory_rows_ = PadRows(memory, stride_, options_.metric);
  memory_ = memory;
  memory_.dims = dims_;
  distances_.resize(std::max(anchors_.size(), memory_.size()));
  return {};
}

void KnnClassifier::Measure(const std::vector<float>& rows, std::size_t count, float* out) {
  switch (options_.metric) {
    case Metric::kCosine:
      DotRows(query_.data(), rows.data(), count, stride_, out);
      // Rounding may carry a cosine past 1.
      for (std::size_t i = 0; i < count; ++i) out[i] = std::max(0.0f, 1.0f - out[i]);
      return;
    case Metric::kEuclidean:
      SquaredRows(query_.data(), rows.data(), count, stride_, out);
      for (std::size_t i = 0; i < count; ++i) out[i] = std::sqrt(out[i]);
      return;
    case Metric::kManhattan:
      AbsoluteRows(query_.data(), rows.data(), count, stride_, out);
      return;
  }
}

Prediction KnnClassifier::Classify(std::span<const float> feature, std::span<float> votes) {
  return ClassifyWithout(kNone, feature, votes);
}

Prediction KnnClassifier::ClassifyWithout(std::uint32_t anchor, std::span<const float> feature,
                                          std::span<float> votes) {
  CHECK(feature.size() == dims_);
  CHECK(votes.empty() || votes.size() == options_.classes);
  const float factor = options_.metric == Metric::kCosine ? InverseLength(feature) : 1.0f;
  for (std::size_t j = 0; j < dims_; ++j) query_[j] = feature[j] * factor;

  Nearest nearest(options_.k);
  Measure(anchor_rows_, anchors_.size(), distances_.data());
  for (std::uint32_t i = 0; i < anchors_.size(); ++i) {
    if (i != anchor) nearest.Add({i, anchors_.labels[i], distances_[i]});
  }
  Prediction prediction;
  prediction.anchor_distance = nearest.MeanDistance();
  Measure(memory_rows_, memory_.size(), distances_.data());
  const auto first = static_cast<std::uint32_t>(anchors_.size());
  for (std::uint32_t i = 0; i < memory_.size(); ++i) {
    nearest.Add({first + i, memory_.labels[i], distances_[i]});
  }
  prediction.mean_distance = nearest.MeanDistance();
  prediction.neighbour_count = static_cast<std::uint32_t>(nearest.found().size());
  std::ranges::copy(nearest.found(), prediction.neighbours.begin());

  // 1 / distance has no value at 0: those that fit exactly then decide alone.
  const bool has_exact = !nearest.found().empty() && nearest.found()[0].distance == 0.0f;
  std::ranges::fill(tally_, 0.0);
  double total = 0.0;
  for (const Neighbour& neighbour : nearest.found()) {
    double vote = neighbour.anchor < first
                      ? static_cast<double>(anchors_.weight(neighbour.anchor))
                      : static_cast<double>(memory_.weight(neighbour.anchor - first));
    if (options_.distance_weighted) {
      if (has_exact) {
        vote = neighbour.distance == 0.0f ? vote : 0.0;
      } else {
        vote /= static_cast<double>(neighbour.distance);
      }
    }
    tally_[neighbour.label] += vote;
    total += vote;
  }
  // The first of the highest: equal votes go to the lower label.
  const auto winner = std::ranges::max_element(tally_);
  prediction.nearest = static_cast<std::uint16_t>(winner - tally_.begin());
  prediction.share = total > 0.0 ? static_cast<float>(*winner / total) : 0.0f;
  prediction.confidence = calibration_.Confidence(prediction.share, prediction.mean_distance);
  prediction.label =
      prediction.confidence < options_.unknown_below ? kUnknownLabel : prediction.nearest;
  for (std::size_t label = 0; label < votes.size(); ++label) {
    votes[label] = total > 0.0 ? static_cast<float>(tally_[label] / total) : 0.0f;
  }
  return prediction;
}

base::Result<std::vector<LeftOut>> LeaveOneOut(const KnnClassifier::Options& options,
                                               const Anchors& anchors) {
  ASSIGN_OR_RETURN(KnnClassifier classifier, KnnClassifier::Create(options, anchors));
  std::vector<LeftOut> left_out;
  left_out.reserve(anchors.size());
  for (std::uint32_t i = 0; i < anchors.size(); ++i) {
    left_out.push_back({anchors.labels[i], classifier.ClassifyWithout(i, anchors.row(i))});
  }
  return left_out;
}

double Accuracy(std::span<const LeftOut> left_out) {
  if (left_out.empty()) return 0.0;
  const auto right = std::ranges::count_if(
      left_out, [](const LeftOut& one) { return one.prediction.label == one.label; });
  return static_cast<double>(right) / static_cast<double>(left_out.size());
}

}  // namespace tinylcm::classify
