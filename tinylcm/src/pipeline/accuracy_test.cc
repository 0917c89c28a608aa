#include "tinylcm/pipeline/accuracy.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tinylcm/model/fit.h"
#include "tinylcm/pipeline/serving.h"

namespace tinylcm::pipeline {
namespace {

constexpr std::size_t kChannels = 4;
constexpr std::uint64_t kSeed = 20261121;

// Three classes, 1.2 standard deviations of noise apart, so that some answers are wrong.
std::vector<float> Row(base::Random& random, std::uint16_t label, double shift = 0.0) {
  std::vector<float> row(kChannels);
  for (std::size_t i = 0; i < kChannels; ++i) {
    row[i] = static_cast<float>((i == label ? 1.2 : 0.0) + 0.6 * random.Normal() + shift);
  }
  return row;
}

std::shared_ptr<const model::ModelBundle> Bundle() {
  base::Random random(kSeed);
  model::FitData data;
  data.raw_count = kChannels;
  data.label_names = {"a", "b", "c"};
  for (int i = 0; i < 1'200; ++i) {
    const auto label = static_cast<std::uint16_t>(i % 3);
    const std::vector<float> row = Row(random, label);
    data.raw.insert(data.raw.end(), row.begin(), row.end());
    data.labels.push_back(label);
  }
  model::FitOptions options;
  options.metric = classify::Metric::kEuclidean;
  return std::make_shared<const model::ModelBundle>(model::Fit(data, options).value().bundle);
}

struct Stream {
  double right = 0.0;
  accuracy::Estimate estimate;
};

Stream Show(const std::shared_ptr<const model::ModelBundle>& bundle, double shift,
            const adapt::Adaptation& adaptation = {}) {
  const auto serving = Serving::Create(bundle, nullptr, {}, {}).value();
  accuracy::Estimator estimator = MakeEstimator(*bundle, adaptation);
  base::Random random(kSeed + 1);
  Stream stream;
  Inference inference;
  source::Frame frame;
  for (int i = 0; i < 500; ++i) {
    const auto label = static_cast<std::uint16_t>(random.Below(3));
    frame.row = Row(random, label, shift);
    EXPECT_TRUE(serving->Infer(frame, inference).ok());
    estimator.Observe(AnswerOf(inference.prediction, *bundle));
    stream.right += inference.prediction.nearest == label ? 1.0 / 500.0 : 0.0;
  }
  stream.estimate = estimator.Over();
  return stream;
}

TEST(PipelineAccuracy, OfAQuietStreamHoldsTheTruth) {
  SCOPED_TRACE(kSeed);
  const Stream stream = Show(Bundle(), 0.0);
  ASSERT_TRUE(stream.estimate.known());
  EXPECT_LE(stream.estimate.low, stream.right);
  EXPECT_GE(stream.estimate.high, stream.right);
  EXPECT_LT(stream.estimate.high - stream.estimate.low, 0.15);
}

TEST(PipelineAccuracy, IsUnknownWhereTheRowsAreNothingLikeThoseHeldOut) {
  SCOPED_TRACE(kSeed);
  const Stream stream = Show(Bundle(), 5.0);
  EXPECT_LT(stream.right, 0.6);
  EXPECT_EQ(stream.estimate.unknown, accuracy::Unknown::kTooFar);
}

TEST(PipelineAccuracy, BelievesAFarAnswerLess) {
  const auto bundle = Bundle();
  const float limit = bundle->calibration.distance_limit;
  ASSERT_GT(limit, 0.0f);
  classify::Prediction near{.share = 1.0f, .mean_distance = 0.5f * limit};
  classify::Prediction far{.share = 1.0f, .mean_distance = 3.0f * limit};
  EXPECT_EQ(AnswerOf(near, *bundle).belief,
            static_cast<double>(bundle->calibration.Confidence(1.0f, 0.0f)));
  EXPECT_LT(AnswerOf(far, *bundle).belief, 0.7 * AnswerOf(near, *bundle).belief);
}

// What an adaptation remembers answers the canary, too: a memory that calls everything "a" is found
// out, although the answers are the same.
TEST(PipelineAccuracy, ExpectsLessOfAMemoryThatAnswersTheCanaryWrongly) {
  const auto bundle = Bundle();
  adapt::Adaptation poisoned;
  poisoned.bundle = bundle->bundle;
  poisoned.memory.dims = kChannels;
  for (std::size_t i = 0; i < bundle->canary.size(); ++i) {
    for (int copy = 0; copy < 5; ++copy) poisoned.memory.Add(bundle->canary.row(i), 0);
  }
  const accuracy::Estimate clean = Show(bundle, 0.0).estimate;
  const accuracy::Estimate wrong = Show(bundle, 0.0, poisoned).estimate;
  ASSERT_TRUE(clean.known() && wrong.known());
  EXPECT_LT(wrong.mean, clean.mean - 0.2);
}

TEST(PipelineAccuracy, OfABundleWithoutHeldOutSamplesIsUnknown) {
  model::ModelBundle bare = *Bundle();
  bare.reference.rank.assign(3, {});
  accuracy::Estimator estimator = MakeEstimator(bare, {});
  for (int i = 0; i < 100; ++i) estimator.Observe(AnswerOf({.share = 1.0f}, bare));
  EXPECT_EQ(estimator.Over().unknown, accuracy::Unknown::kNothingHeldOut);
}

TEST(PipelineAccuracy, TellsUnknownAsNullAndNeverAsZero) {
  protocol::DeviceMetrics metrics;
  Tell({.unknown = accuracy::Unknown::kNot, .mean = 0.8, .low = 0.7, .high = 0.9}, metrics);
  EXPECT_EQ(metrics.accuracy_estimated, 0.8);
  EXPECT_EQ(metrics.accuracy_low, 0.7);
  EXPECT_EQ(metrics.accuracy_high, 0.9);
  Tell({.unknown = accuracy::Unknown::kTooFar}, metrics);
  EXPECT_FALSE(metrics.accuracy_estimated || metrics.accuracy_low || metrics.accuracy_high);
}

}  // namespace
}  // namespace tinylcm::pipeline
