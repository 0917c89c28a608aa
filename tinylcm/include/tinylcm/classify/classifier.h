// Classifier: what a bundle answers with: its nearest neighbours, or a head (classify/head.h).
//
//   feature ─▶ neighbours ───────────────▶ label, confidence, distance
//   feature ─▶ head ─▶ probabilities ────▶ label, confidence
//                   └▶ neighbours, if there are anchors, or 1 - top probability ─▶ distance

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/result.h"
#include "tinylcm/classify/head.h"
#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::classify {

// Not thread-safe. Classify does not allocate.
class Classifier {
 public:
  struct Options {
    ClassifierKind kind = ClassifierKind::kKnn;
    KnnClassifier::Options knn = {};  // Its classes and unknown_below are a head's, too.
    bool gives_logits = false;        // kSoftmax: the feature is logits, else probabilities.
    float temperature = 1.0f;         // kSoftmax with logits.
  };

  // `head`: for kLinear. `anchors` may be empty for a head.
  static base::Result<Classifier> Create(const Options& options, const Anchors& anchors,
                                         const std::optional<HeadTensors>& head,
                                         const Calibration& calibration = {});

  // REQUIRES: feature.size() is dims(), all finite. `votes`: empty, or one a class, which receives
  // the share of each.
  Prediction Classify(std::span<const float> feature, std::span<float> votes = {});

  ClassifierKind kind() const { return options_.kind; }
  std::size_t dims() const { return dims_; }
  // The neighbours; null for a head without anchors.
  KnnClassifier* knn() { return knn_ ? &*knn_ : nullptr; }
  void SetCalibration(const Calibration& calibration);

 private:
  Classifier(const Options& options, std::size_t dims, std::optional<KnnClassifier> knn,
             const std::optional<HeadTensors>& head, const Calibration& calibration);

  Options options_;
  std::size_t dims_ = 0;
  std::optional<KnnClassifier> knn_;
  HeadTensors head_;
  Calibration calibration_;
  std::vector<float> probabilities_;
};

}  // namespace tinylcm::classify
