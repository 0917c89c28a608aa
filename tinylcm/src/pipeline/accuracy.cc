#include "tinylcm/pipeline/accuracy.h"

#include <utility>

#include "base/check.h"
#include "tinylcm/pipeline/serving.h"

namespace tinylcm::pipeline {

accuracy::Answer AnswerOf(const classify::Prediction& prediction,
                          const model::ModelBundle& bundle) {
  const classify::Calibration& calibration = bundle.calibration;
  const bool has_reach = bundle.is_adaptable() && calibration.distance_limit > 0.0f;
  const float reach = has_reach ? prediction.mean_distance / calibration.distance_limit : 1.0f;
  const float confidence = calibration.Confidence(prediction.share, 0.0f);
  return {.predicted = KnownClass(prediction, bundle),
          .belief = accuracy::Belief(static_cast<double>(confidence), static_cast<double>(reach),
                                     static_cast<std::uint32_t>(bundle.manifest.labels.size())),
          .distance = static_cast<double>(prediction.anchor_distance)};
}

accuracy::Estimator MakeEstimator(const model::ModelBundle& bundle,
                                  const adapt::Adaptation& adaptation) {
  accuracy::Estimator::Options options;
  options.classes = static_cast<std::uint32_t>(bundle.manifest.labels.size());
  options.held_out = bundle.reference.rank;
  auto classifier = bundle.MakeClassifier();
  const bool remembers = classifier.ok() && bundle.is_adaptable() && adaptation.memory.size() > 0;
  const auto opened = static_cast<std::uint32_t>(adaptation.opened.size());
  if (classifier.ok() &&
      (!remembers || classifier->knn()->SetMemory(adaptation.memory, opened).ok())) {
    for (std::size_t i = 0; i < bundle.canary.size(); ++i) {
      const classify::Prediction prediction = classifier->Classify(bundle.canary.row(i));
      options.canary.count += 1;
      options.canary.right += prediction.nearest == bundle.canary.labels[i] ? 1 : 0;
      options.canary.believed += AnswerOf(prediction, bundle).belief;
    }
  }
  auto made = accuracy::Estimator::Create(options);
  if (!made.ok()) {
    // Held-out distances that are none: nothing to believe by.
    made = accuracy::Estimator::Create({.classes = options.classes});
  }
  CHECK(made.ok());
  return std::move(made).value();
}

void Tell(const accuracy::Estimate& estimate, protocol::DeviceMetrics& metrics) {
  metrics.accuracy_estimated.reset();
  metrics.accuracy_low.reset();
  metrics.accuracy_high.reset();
  if (!estimate.known()) return;
  metrics.accuracy_estimated = estimate.mean;
  metrics.accuracy_low = estimate.low;
  metrics.accuracy_high = estimate.high;
}

}  // namespace tinylcm::pipeline
