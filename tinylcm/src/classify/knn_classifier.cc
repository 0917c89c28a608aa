#include "tinylcm/classify/knn_classifier.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/classify/select.h"

namespace tinylcm::classify {
namespace {

using base::Error;
using base::ErrorCode;

constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
constexpr float kInfinity = std::numeric_limits<float>::infinity();

// Squares of vectors shorter than 1e-38: 1 / length is no float, and they count as having no
// direction (the cosine distance to all is then 1).
constexpr double kNoDirection = 1e-76;

// 1 / length, or 0 for a vector without a direction.
float InverseLength(double squares) {
  return squares > kNoDirection ? static_cast<float>(1.0 / std::sqrt(squares)) : 0.0f;
}

// Writes `vector` to the first places of `padded`; for cosine brought to unit length, so that a dot
// product is the cosine.
void Prepare(std::span<const float> vector, std::size_t stride, Metric metric, float* padded) {
  std::memcpy(padded, vector.data(), vector.size_bytes());
  if (metric == Metric::kCosine) {
    Scale(padded, InverseLength(SumOfSquares(padded, stride)), stride, padded);
  }
}

}  // namespace

const char* Name(Scan scan) { return scan == Scan::kInt8 ? "i8" : "f32"; }

base::Result<Scan> ParseScan(std::string_view name) {
  for (const Scan scan : {Scan::kFloat, Scan::kInt8}) {
    if (name == Name(scan)) return scan;
  }
  return Error{ErrorCode::kInvalidArgument, base::StrCat("no scan ", name, "; there are f32, i8")};
}

// The k nearest so far, nearest first; equal distances keep the order in which they came.
class KnnClassifier::Nearest {
 public:
  // Writes to `found`, which outlives it.
  Nearest(std::size_t k, std::uint32_t left_out, std::array<Neighbour, kNeighboursMax>& found)
      : k_(k), left_out_(left_out), found_(found) {}

  void Add(const Neighbour& neighbour) {
    if (neighbour.anchor == left_out_) return;
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
  std::uint32_t left_out_;
  std::array<Neighbour, kNeighboursMax>& found_;
  std::size_t count_ = 0;
};

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
      memory_first_(PaddedSize(anchors.size())),
      query_(stride_, 0.0f),
      tally_(options.classes, 0.0) {
  memory_.dims = dims_;
  SetRows();
}

base::Status KnnClassifier::SetMemory(const Anchors& memory, std::uint32_t opened) {
  if (opened >= kUnknownLabel - options_.classes) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("knn: ", opened, " opened classes beside ", options_.classes)};
  }
  RETURN_IF_ERROR(Validate(memory, options_.classes + opened));
  if (memory.size() > 0 && memory.dims != dims_) {
    return Error{
        ErrorCode::kInvalidArgument,
        base::StrCat("knn: memory of ", memory.dims, " dimensions beside anchors of ", dims_)};
  }
  if (memory.size() > options_.memory_max) {
    return Error{ErrorCode::kExhausted, base::StrCat("knn: memory of ", memory.size(),
                                                     " vectors, at most ", options_.memory_max)};
  }
  memory_ = memory;
  memory_.dims = dims_;
  tally_.assign(options_.classes + opened, 0.0);
  SetRows();
  return {};
}

void KnnClassifier::SetRows() {
  const std::size_t count = memory_first_ + PaddedSize(memory_.size());
  rows_.assign(count * stride_, 0.0f);
  distances_.assign(count, kInfinity);
  near_.resize(count + kLanes);
  near_distances_.resize(count);
  coarse_.reset();
  if (options_.scan == Scan::kInt8 && Int8Rows::Can(options_.metric, dims_)) {
    coarse_.emplace(options_.metric, dims_, count);
    low_.resize(count);
    high_.resize(count);
  }
  const auto set = [this](std::size_t at, std::span<const float> vector) {
    float* const row = rows_.data() + at * stride_;
    Prepare(vector, stride_, options_.metric, row);
    if (coarse_ && !coarse_->Set(at, row)) coarse_.reset();
  };
  for (std::size_t i = 0; i < anchors_.size(); ++i) set(i, anchors_.row(i));
  for (std::size_t i = 0; i < memory_.size(); ++i) set(memory_first_ + i, memory_.row(i));
}

void KnnClassifier::Offer(bool is_coarse, std::size_t first, const Anchors& vectors, float limit,
                          Nearest& nearest) {
  const float* const bounds = (is_coarse ? low_ : distances_).data() + first;
  std::size_t found = NotAbove(bounds, PaddedSize(vectors.size()), limit, near_.data());
  while (found > 0 && near_[found - 1] >= vectors.size()) --found;  // The padding.
  const float* distances = distances_.data() + first;
  if (is_coarse) {
    MeasureChosen(options_.metric, query_.data(), rows_.data() + first * stride_, stride_,
                  near_.data(), found, near_distances_.data());
  }
  const std::size_t index = first == 0 ? 0 : anchors_.size();
  for (std::size_t i = 0; i < found; ++i) {
    const std::uint32_t at = near_[i];
    nearest.Add({static_cast<std::uint32_t>(index + at), vectors.labels[at],
                 is_coarse ? near_distances_[i] : distances[at]});
  }
}

Prediction KnnClassifier::Classify(std::span<const float> feature, std::span<float> votes) {
  return ClassifyWithout(kNone, feature, votes);
}

Prediction KnnClassifier::ClassifyWithout(std::uint32_t anchor, std::span<const float> feature,
                                          std::span<float> votes) {
  CHECK(feature.size() == dims_);
  CHECK(votes.empty() || votes.size() == tally_.size());
  Prepare(feature, stride_, options_.metric, query_.data());
  const bool is_coarse =
      coarse_ && coarse_->Bound(query_.data(), distances_.size(), low_.data(), high_.data());
  if (!is_coarse) {
    MeasureRows(options_.metric, query_.data(), rows_.data(), anchors_.size(), stride_,
                distances_.data());
    MeasureRows(options_.metric, query_.data(), rows_.data() + memory_first_ * stride_,
                memory_.size(), stride_, distances_.data() + memory_first_);
  }
  // At least k rows are as near as this, and whoever may be nearer is offered, in order.
  float* const reach = (is_coarse ? high_ : distances_).data();
  if (anchor != kNone) {
    reach[anchor] = kInfinity;
    if (is_coarse) low_[anchor] = kInfinity;
  }
  Prediction prediction;
  Nearest nearest(options_.k, anchor, prediction.neighbours);
  Offer(is_coarse, 0, anchors_, LimitOfLeast(reach, memory_first_, options_.k), nearest);
  prediction.anchor_distance = nearest.MeanDistance();
  if (!nearest.found().empty()) prediction.known = nearest.found()[0].label;
  if (memory_.size() > 0) {
    const float limit = LimitOfLeast(reach, distances_.size(), options_.k);
    Offer(is_coarse, memory_first_, memory_, limit, nearest);
  }
  const auto first = static_cast<std::uint32_t>(anchors_.size());
  prediction.mean_distance = nearest.MeanDistance();
  prediction.neighbour_count = static_cast<std::uint32_t>(nearest.found().size());

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
  std::vector<float> votes(options.classes);
  for (std::uint32_t i = 0; i < anchors.size(); ++i) {
    const std::uint16_t label = anchors.labels[i];
    const Prediction prediction = classifier.ClassifyWithout(i, anchors.row(i), votes);
    left_out.push_back({.label = label, .share = votes[label], .prediction = prediction});
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
