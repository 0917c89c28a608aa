// What an answer is worth believing: from the classifier and a bundle's calibration to accuracy/.

#pragma once

#include "protocol/metrics.h"
#include "tinylcm/accuracy/estimator.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/classify/knn_classifier.h"
#include "tinylcm/model/bundle.h"

namespace tinylcm::pipeline {

// A head's distance is no part of its confidence, so it is believed as it is.
accuracy::Answer AnswerOf(const classify::Prediction& prediction, const model::ModelBundle& bundle);

// Knows the bundle's held-out distances, and its canary as the bundle with this adaptation answers
// it. A bundle made without labelled samples gets one for which everything is unknown. Classifies
// the canary: not for the frame thread.
accuracy::Estimator MakeEstimator(const model::ModelBundle& bundle,
                                  const adapt::Adaptation& adaptation);

// Into the figures of a device; unknown is null, never 0.
void Tell(const accuracy::Estimate& estimate, protocol::DeviceMetrics& metrics);

}  // namespace tinylcm::pipeline
