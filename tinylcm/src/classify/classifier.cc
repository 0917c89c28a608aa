#include "tinylcm/classify/classifier.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::classify {

using base::Error;
using base::ErrorCode;

base::Result<Classifier> Classifier::Create(const Options& options, const Anchors& anchors,
                                            const std::optional<HeadTensors>& head,
                                            const Calibration& calibration) {
  const bool is_knn = options.kind == ClassifierKind::kKnn;
  std::optional<KnnClassifier> knn;
  if (is_knn || anchors.size() > 0) {
    ASSIGN_OR_RETURN(
        KnnClassifier made,
        KnnClassifier::Create(options.knn, anchors, is_knn ? calibration : Calibration{}));
    knn = std::move(made);
  }
  RETURN_IF_ERROR(Validate(calibration));
  std::size_t dims = options.knn.classes;  // kSoftmax: one number a class.
  if (is_knn) dims = anchors.dims;
  if (options.kind == ClassifierKind::kLinear) {
    if (!head) return Error{ErrorCode::kInvalidArgument, "head: a linear classifier needs one"};
    dims = head->dims();
    RETURN_IF_ERROR(Validate(*head, options.knn.classes, dims));
  }
  if (knn && knn->dims() != dims) {
    return Error{ErrorCode::kInvalidArgument,
                 base::StrCat("head: takes ", dims, " numbers, the anchors have ", knn->dims())};
  }
  if (!(options.temperature > 0.0f)) {
    return Error{ErrorCode::kInvalidArgument, "head: the temperature is not above 0"};
  }
  return Classifier(options, dims, std::move(knn), head, calibration);
}

Classifier::Classifier(const Options& options, std::size_t dims, std::optional<KnnClassifier> knn,
                       const std::optional<HeadTensors>& head, const Calibration& calibration)
    : options_(options), dims_(dims), knn_(std::move(knn)), calibration_(calibration) {
  if (head) head_ = *head;
  probabilities_.assign(options.knn.classes, 0.0f);
}

void Classifier::SetCalibration(const Calibration& calibration) {
  calibration_ = calibration;
  if (options_.kind == ClassifierKind::kKnn) knn_->SetCalibration(calibration);
}

Prediction Classifier::Classify(std::span<const float> feature, std::span<float> votes) {
  if (options_.kind == ClassifierKind::kKnn) return knn_->Classify(feature, votes);
  CHECK(feature.size() == dims_);
  CHECK(votes.empty() || votes.size() == probabilities_.size());
  if (options_.kind == ClassifierKind::kLinear) {
    Probabilities(head_, feature, probabilities_);
  } else {
    std::copy(feature.begin(), feature.end(), probabilities_.begin());
    if (options_.gives_logits) {
      Softmax(options_.temperature, probabilities_);
    } else {
      // Rounded to steps of 1/256 by an int8 model, they do not add up to one.
      float sum = 0.0f;
      for (float& value : probabilities_) sum += value = std::max(value, 0.0f);
      if (sum > 0.0f) {
        for (float& value : probabilities_) value /= sum;
      }
    }
  }
  Prediction prediction;
  const auto top = std::max_element(probabilities_.begin(), probabilities_.end());
  if (knn_) {
    prediction = knn_->Classify(feature);
  } else {
    prediction.mean_distance = prediction.anchor_distance = 1.0f - *top;
  }
  prediction.nearest = static_cast<std::uint16_t>(top - probabilities_.begin());
  prediction.known = prediction.nearest;
  prediction.share = *top;
  prediction.confidence = calibration_.Confidence(*top, 0.0f);
  prediction.label =
      prediction.confidence < options_.knn.unknown_below ? kUnknownLabel : prediction.nearest;
  std::copy_n(probabilities_.begin(), votes.size(), votes.begin());
  return prediction;
}

}  // namespace tinylcm::classify
