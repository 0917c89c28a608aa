#include "tinylcm/classify/classifier.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"
#include "tests/support/allocations.h"

namespace tinylcm::classify {
namespace {

using base::ErrorCode;
using Floats = std::vector<float>;

Classifier Make(const Classifier::Options& options, const Anchors& anchors = {},
                const std::optional<HeadTensors>& head = {}, const Calibration& calibration = {}) {
  auto made = Classifier::Create(options, anchors, head, calibration);
  EXPECT_TRUE(made.ok()) << made.error().message;
  return std::move(made).value();
}

// Two classes of two numbers: the first says 0, the second says 1.
const HeadTensors kHead = {.weights = {1.0f, 0.0f, 0.0f, 1.0f}, .bias = {0.0f, 0.0f}};

TEST(Softmax, IsExponentialsOverTheirSum) {
  Floats values = {0.0f, std::log(3.0f)};
  Softmax(1.0f, values);
  EXPECT_FLOAT_EQ(values[0], 0.25f);
  EXPECT_FLOAT_EQ(values[1], 0.75f);
  // Twice the temperature: the roots, 1 and 1.732.
  values = {0.0f, std::log(3.0f)};
  Softmax(2.0f, values);
  EXPECT_FLOAT_EQ(values[1], std::sqrt(3.0f) / (1.0f + std::sqrt(3.0f)));
}

TEST(Softmax, DoesNotOverflow) {
  Floats values = {1e6f, 1e6f, -1e6f};
  Softmax(1.0f, values);
  EXPECT_EQ(values, (Floats{0.5f, 0.5f, 0.0f}));
}

TEST(Classifier, LinearAnswersByItsWeights) {
  HeadTensors head = kHead;
  head.bias = {0.0f, std::log(3.0f)};
  Classifier classifier = Make({.kind = ClassifierKind::kLinear}, {}, head);
  Floats votes(2);
  const Prediction prediction = classifier.Classify(Floats{1.0f, 1.0f}, votes);
  EXPECT_EQ(prediction.label, 1);
  EXPECT_FLOAT_EQ(prediction.share, 0.75f);
  EXPECT_FLOAT_EQ(prediction.confidence, 0.75f);
  EXPECT_FLOAT_EQ(votes[0], 0.25f);
  // Without anchors drift is watched by how unsure it is.
  EXPECT_FLOAT_EQ(prediction.anchor_distance, 0.25f);
  EXPECT_EQ(prediction.neighbour_count, 0u);
}

TEST(Classifier, SoftmaxTakesTheModelsOwnProbabilities) {
  Classifier classifier = Make({.kind = ClassifierKind::kSoftmax});
  // As an int8 model gives them: they add up to 255/256.
  const Prediction prediction = classifier.Classify(Floats{51.0f / 256.0f, 204.0f / 256.0f});
  EXPECT_EQ(prediction.label, 1);
  EXPECT_FLOAT_EQ(prediction.confidence, 0.8f);
}

TEST(Classifier, SoftmaxTurnsLogitsIntoProbabilities) {
  Classifier classifier = Make(
      {.kind = ClassifierKind::kSoftmax, .knn = {}, .gives_logits = true, .temperature = 2.0f});
  EXPECT_FLOAT_EQ(classifier.Classify(Floats{2.0f * std::log(3.0f), 0.0f}).confidence, 0.75f);
}

TEST(Classifier, AnchorsBesideAHeadMakeTheDistanceAndNotTheAnswer) {
  Anchors anchors;
  anchors.Add(Floats{0.0f, 4.0f}, 0);  // The neighbour says 0 where the head says 1.
  anchors.Add(Floats{9.0f, 0.0f}, 1);
  Classifier classifier =
      Make({.kind = ClassifierKind::kLinear, .knn = {.k = 1, .metric = Metric::kEuclidean}},
           anchors, kHead);
  const Prediction prediction = classifier.Classify(Floats{0.0f, 1.0f});
  EXPECT_EQ(prediction.label, 1);
  EXPECT_FLOAT_EQ(prediction.anchor_distance, 3.0f);
  EXPECT_EQ(prediction.neighbour_count, 1u);
}

TEST(Classifier, CalibrationIsAppliedToAHeadAndBelowTheLimitItWillNotSay) {
  Classifier classifier =
      Make({.kind = ClassifierKind::kSoftmax, .knn = {.unknown_below = 0.6f}}, {}, {},
           {.distance_limit = 0.0f, .scores = {0.5f, 1.0f}, .confidences = {0.4f, 0.8f}});
  // 0.5 to 1 goes to 0.4 to 0.8, so 0.7 goes to 0.56 and 0.9 to 0.72.
  const Prediction unsure = classifier.Classify(Floats{0.7f, 0.3f});
  EXPECT_FLOAT_EQ(unsure.confidence, 0.56f);
  EXPECT_EQ(unsure.label, kUnknownLabel);
  EXPECT_EQ(unsure.nearest, 0);
  EXPECT_EQ(classifier.Classify(Floats{0.9f, 0.1f}).label, 0);
}

TEST(Classifier, KnnAnswersAsTheNeighboursAlone) {
  Anchors anchors;
  for (int i = 0; i < 6; ++i) {
    anchors.Add(Floats{static_cast<float>(i), 1.0f}, static_cast<std::uint16_t>(i / 3));
  }
  Classifier classifier = Make({}, anchors);
  KnnClassifier alone = KnnClassifier::Create({}, anchors).value();
  const Floats query = {1.2f, 1.0f};
  EXPECT_EQ(classifier.Classify(query).confidence, alone.Classify(query).confidence);
  EXPECT_EQ(classifier.Classify(query).anchor_distance, alone.Classify(query).anchor_distance);
  EXPECT_NE(classifier.knn(), nullptr);
}

TEST(Classifier, AllocatesNothing) {
  Classifier classifier = Make({.kind = ClassifierKind::kLinear}, {}, kHead);
  const Floats feature = {1.0f, 2.0f};
  const std::uint64_t before = testing_support::Allocations();
  for (int i = 0; i < 10; ++i) classifier.Classify(feature);
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

TEST(Classifier, RefusesWhatDoesNotFitTogether) {
  const auto code = [](const Classifier::Options& options, const Anchors& anchors,
                       const std::optional<HeadTensors>& head) {
    const auto made = Classifier::Create(options, anchors, head);
    return made.ok() ? ErrorCode::kInternal : made.error().code;
  };
  const Classifier::Options linear = {.kind = ClassifierKind::kLinear};
  EXPECT_EQ(code(linear, {}, {}), ErrorCode::kInvalidArgument);  // No head.
  EXPECT_EQ(code({.kind = ClassifierKind::kLinear, .knn = {.classes = 3}}, {}, kHead),
            ErrorCode::kInvalidArgument);  // Two outputs, three classes.
  Anchors wide;
  wide.Add(Floats{1.0f, 2.0f, 3.0f}, 0);
  EXPECT_EQ(code(linear, wide, kHead), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({}, {}, {}), ErrorCode::kInvalidArgument);  // Neighbours without anchors.
  HeadTensors bad = kHead;
  bad.weights[0] = std::nanf("");
  EXPECT_EQ(code(linear, {}, bad), ErrorCode::kInvalidArgument);
}

TEST(FitLinearHead, SeparatesClassesThatLeanTheSameWay) {
  // Two long, parallel clouds: neither number alone tells them apart, their difference does.
  base::Random random(3);
  Floats features;
  std::vector<std::uint16_t> labels;
  for (int i = 0; i < 400; ++i) {
    const double along = 5.0 * random.Normal();
    const double apart = i % 2 == 0 ? 1.0 : -1.0;
    features.push_back(static_cast<float>(along + apart + 0.3 * random.Normal()));
    features.push_back(static_cast<float>(along - apart + 0.3 * random.Normal()));
    labels.push_back(static_cast<std::uint16_t>(i % 2));
  }
  const auto head = FitLinearHead(features, 2, labels, 2);
  ASSERT_TRUE(head.ok()) << head.error().message;
  Classifier classifier = Make({.kind = ClassifierKind::kLinear}, {}, *head);
  int right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    right += classifier.Classify(std::span(features).subspan(2 * i, 2)).label == labels[i];
  }
  EXPECT_GE(right, 392);  // 98 %; either number alone gives about 58 %.
  EXPECT_EQ(*FitLinearHead(features, 2, labels, 2), *head);
}

TEST(FitLinearHead, RefusesAClassWithoutSamples) {
  const Floats features = {1.0f, 2.0f, 3.0f, 4.0f};
  const std::vector<std::uint16_t> labels = {0, 0};
  EXPECT_EQ(FitLinearHead(features, 2, labels, 2).error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tinylcm::classify
