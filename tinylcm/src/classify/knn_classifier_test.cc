#include "tinylcm/classify/knn_classifier.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/random.h"
#include "tests/support/allocations.h"

namespace tinylcm::classify {
namespace {

using Vector = std::vector<float>;

KnnClassifier Make(const KnnClassifier::Options& options, const Anchors& anchors,
                   const Calibration& calibration = {}) {
  return KnnClassifier::Create(options, anchors, calibration).value();
}

// Points on a line at 1, 2, 4 and 8 from zero, of classes 0, 1, 1 and 0.
Anchors Line() {
  Anchors anchors;
  anchors.Add(Vector{1.0f, 0.0f}, 0);
  anchors.Add(Vector{2.0f, 0.0f}, 1);
  anchors.Add(Vector{4.0f, 0.0f}, 1);
  anchors.Add(Vector{8.0f, 0.0f}, 0);
  return anchors;
}

TEST(KnnClassifier, WeighsVotesByDistance) {
  // From zero with k 3: class 0 has 1/1, class 1 has 1/2 + 1/4 = 0.75.
  KnnClassifier knn = Make({.k = 3, .metric = Metric::kEuclidean}, Line());
  Vector votes(2);
  const Prediction prediction = knn.Classify(Vector{0.0f, 0.0f}, votes);
  EXPECT_EQ(prediction.label, 0);
  EXPECT_FLOAT_EQ(prediction.share, 1.0f / 1.75f);
  EXPECT_FLOAT_EQ(votes[1], 0.75f / 1.75f);
  EXPECT_FLOAT_EQ(prediction.mean_distance, 7.0f / 3.0f);
  ASSERT_EQ(prediction.neighbour_count, 3u);
  EXPECT_EQ(prediction.neighbours[0].anchor, 0u);
  EXPECT_EQ(prediction.neighbours[2].anchor, 2u);
  EXPECT_EQ(prediction.neighbours[2].label, 1);
  EXPECT_EQ(prediction.neighbours[2].distance, 4.0f);
}

TEST(KnnClassifier, CountsVotesWhereDistanceShallNotMatter) {
  KnnClassifier knn =
      Make({.k = 3, .metric = Metric::kEuclidean, .distance_weighted = false}, Line());
  EXPECT_EQ(knn.Classify(Vector{0.0f, 0.0f}).label, 1);
}

TEST(KnnClassifier, LetsAnAnchorCountForSeveral) {
  // Class 1: 2/2 + 1/4 = 1.25 against 1.
  Anchors anchors = Line();
  anchors.weights = {1.0f, 2.0f, 1.0f, 1.0f};
  KnnClassifier knn = Make({.k = 3, .metric = Metric::kEuclidean}, anchors);
  EXPECT_EQ(knn.Classify(Vector{0.0f, 0.0f}).label, 1);
}

TEST(KnnClassifier, MeasuresAsTold) {
  Anchors anchors;
  anchors.Add(Vector{3.0f, 4.0f}, 0);
  const auto distance = [&](Metric metric, const Vector& from) {
    return Make({.metric = metric}, anchors).Classify(from).mean_distance;
  };
  EXPECT_EQ(distance(Metric::kEuclidean, {0.0f, 0.0f}), 5.0f);
  EXPECT_EQ(distance(Metric::kManhattan, {0.0f, 0.0f}), 7.0f);
  EXPECT_NEAR(distance(Metric::kCosine, {30.0f, 40.0f}), 0.0f, 1e-6f);  // Same direction.
  EXPECT_NEAR(distance(Metric::kCosine, {4.0f, -3.0f}), 1.0f, 1e-6f);   // A right angle.
  EXPECT_NEAR(distance(Metric::kCosine, {-3.0f, -4.0f}), 2.0f, 1e-6f);  // Opposite.
  EXPECT_EQ(distance(Metric::kCosine, {0.0f, 0.0f}), 1.0f);             // No direction at all.
}

TEST(KnnClassifier, AnExactMatchDecidesAlone) {
  KnnClassifier knn = Make({.k = 4, .metric = Metric::kEuclidean}, Line());
  const Prediction prediction = knn.Classify(Vector{8.0f, 0.0f});
  EXPECT_EQ(prediction.label, 0);
  EXPECT_EQ(prediction.share, 1.0f);
}

TEST(KnnClassifier, SettlesTiesTheSameWayEveryTime) {
  Anchors anchors;
  anchors.Add(Vector{1.0f}, 1);
  anchors.Add(Vector{-1.0f}, 0);
  anchors.Add(Vector{1.0f}, 2);
  KnnClassifier knn = Make({.classes = 3, .k = 2, .metric = Metric::kEuclidean}, anchors);
  const Prediction prediction = knn.Classify(Vector{0.0f});
  EXPECT_EQ(prediction.neighbours[0].anchor, 0u);  // Equal distances: the lower index.
  EXPECT_EQ(prediction.neighbours[1].anchor, 1u);
  EXPECT_EQ(prediction.label, 0);  // Equal votes: the lower label.
}

TEST(KnnClassifier, UsesMemoryForTheVoteButNotForTheDistanceThatDriftIsWatchedBy) {
  KnnClassifier knn = Make({.k = 2, .metric = Metric::kEuclidean}, Line());
  Anchors memory;
  memory.Add(Vector{20.0f, 0.0f}, 1);
  memory.Add(Vector{20.5f, 0.0f}, 1);
  ASSERT_TRUE(knn.SetMemory(memory).ok());
  const Prediction prediction = knn.Classify(Vector{20.25f, 0.0f});
  EXPECT_EQ(prediction.label, 1);
  EXPECT_EQ(prediction.neighbours[0].anchor, 4u);  // After the four anchors.
  EXPECT_EQ(prediction.mean_distance, 0.25f);
  EXPECT_FLOAT_EQ(prediction.anchor_distance, (12.25f + 16.25f) / 2.0f);

  ASSERT_TRUE(knn.SetMemory({}).ok());
  EXPECT_EQ(knn.Classify(Vector{20.25f, 0.0f}).label, 0);
}

TEST(KnnClassifier, TakesAVectorTooShortForADirectionAsHavingNone) {
  Anchors anchors;
  anchors.Add(Vector{1.0f, 0.0f}, 0);
  anchors.Add(Vector{1e-39f, 0.0f}, 1);  // 1 / length is beyond every float.
  KnnClassifier knn = Make({.k = 2}, anchors);
  const Prediction prediction = knn.Classify(Vector{2.0f, 0.0f});
  EXPECT_EQ(prediction.neighbours[0].anchor, 0u);
  EXPECT_EQ(prediction.neighbours[1].distance, 1.0f);
  EXPECT_EQ(knn.Classify(Vector{1e-39f, 1e-39f}).mean_distance, 1.0f);
}

TEST(Scan, IsReadByName) {
  for (const Scan scan : {Scan::kFloat, Scan::kInt8})
    EXPECT_EQ(ParseScan(Name(scan)).value(), scan);
  EXPECT_EQ(ParseScan("i4").error().code, base::ErrorCode::kInvalidArgument);
}

TEST(KnnClassifier, SaysUnknownWhereItIsNotSureEnough) {
  KnnClassifier knn = Make({.k = 3, .metric = Metric::kEuclidean, .unknown_below = 0.6f}, Line(),
                           {.distance_limit = 3.0f});
  const Prediction torn = knn.Classify(Vector{0.0f, 0.0f});  // Share 0.571.
  EXPECT_EQ(torn.label, kUnknownLabel);
  EXPECT_EQ(torn.nearest, 0);
  EXPECT_EQ(knn.Classify(Vector{2.0f, 0.0f}).label, 1);  // Exactly there.
  const Prediction far = knn.Classify(Vector{500.0f, 0.0f});
  EXPECT_EQ(far.label, kUnknownLabel);
  EXPECT_LT(far.confidence, 0.01f);
}

TEST(KnnClassifier, FindsWhatAPlainSearchFinds) {
  const std::uint64_t seed = 1;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  for (const Metric metric : {Metric::kCosine, Metric::kEuclidean, Metric::kManhattan}) {
    Anchors anchors;
    Vector vector(37);
    const auto draw = [&] {
      for (float& value : vector) value = static_cast<float>(random.Normal());
      return vector;
    };
    for (int i = 0; i < 203; ++i) anchors.Add(draw(), static_cast<std::uint16_t>(i % 7));
    KnnClassifier knn = Make({.classes = 7, .metric = metric}, anchors);
    for (int query = 0; query < 50; ++query) {
      draw();
      std::vector<std::pair<double, std::uint32_t>> all;
      for (std::uint32_t i = 0; i < anchors.size(); ++i) {
        double dot = 0.0, squared = 0.0, absolute = 0.0, own = 0.0, other = 0.0;
        for (std::size_t j = 0; j < vector.size(); ++j) {
          const double a = vector[j];
          const double b = anchors.row(i)[j];
          dot += a * b;
          squared += (a - b) * (a - b);
          absolute += std::abs(a - b);
          own += a * a;
          other += b * b;
        }
        all.emplace_back(metric == Metric::kCosine      ? 1.0 - dot / std::sqrt(own * other)
                         : metric == Metric::kEuclidean ? std::sqrt(squared)
                                                        : absolute,
                         i);
      }
      std::ranges::sort(all);
      const Prediction prediction = knn.Classify(vector);
      for (std::size_t i = 0; i < 5; ++i) {
        EXPECT_EQ(prediction.neighbours[i].anchor, all[i].second);
        EXPECT_NEAR(prediction.neighbours[i].distance, all[i].first, 1e-5 * (1.0 + all[i].first));
      }
    }
  }
}

TEST(KnnClassifier, LeavesOneOut) {
  // Four on a line, k 1: 1 (class 0) is nearest 2 (class 1): wrong; 2 nearest 1: wrong; 4 nearest
  // 2: right; 8 nearest 4: wrong.
  const auto left_out = LeaveOneOut({.k = 1, .metric = Metric::kEuclidean}, Line());
  ASSERT_TRUE(left_out.ok());
  EXPECT_EQ((*left_out)[2].prediction.label, 1);
  EXPECT_DOUBLE_EQ(Accuracy(*left_out), 0.25);
  EXPECT_EQ((*left_out)[1].share, 0.0f);  // The one vote is for another class, ...
  EXPECT_EQ((*left_out)[2].share, 1.0f);  // ... for its own.
  EXPECT_EQ((*left_out)[3].prediction.mean_distance, 4.0f);
  EXPECT_DOUBLE_EQ(Accuracy({}), 0.0);
}

TEST(KnnClassifier, AnswersWithFewerWhereThereAreFewer) {
  Anchors anchors;
  anchors.Add(Vector{1.0f}, 1);
  KnnClassifier knn = Make({.k = 5}, anchors);
  EXPECT_EQ(knn.Classify(Vector{2.0f}).neighbour_count, 1u);
  const Prediction none = knn.ClassifyWithout(0, Vector{2.0f});
  EXPECT_EQ(none.neighbour_count, 0u);
  EXPECT_EQ(none.share, 0.0f);
}

TEST(KnnClassifier, AllocatesNothingPerCall) {
  Anchors memory;
  memory.Add(Vector{3.0f, 3.0f}, 1);
  for (const Scan scan : {Scan::kFloat, Scan::kInt8}) {
    KnnClassifier knn = Make({.scan = scan}, Line());
    ASSERT_TRUE(knn.SetMemory(memory).ok());
    const Vector feature = {1.0f, 2.0f};
    Vector votes(2);
    const std::uint64_t before = testing_support::Allocations();
    for (int i = 0; i < 100; ++i) knn.Classify(feature, votes);
    EXPECT_EQ(testing_support::Allocations() - before, 0u);
  }
}

TEST(KnnClassifier, RefusesWhatCannotBeSearched) {
  const auto code = [](const KnnClassifier::Options& options, const Anchors& anchors) {
    return KnnClassifier::Create(options, anchors).error().code;
  };
  using base::ErrorCode;
  EXPECT_EQ(code({}, {}), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.classes = 0}, Line()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.classes = 1}, Line()), ErrorCode::kInvalidArgument);  // A label 1 is there.
  EXPECT_EQ(code({.k = 0}, Line()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.k = 17}, Line()), ErrorCode::kInvalidArgument);
  EXPECT_EQ(code({.unknown_below = 1.5f}, Line()), ErrorCode::kInvalidArgument);
  std::vector<Anchors> wrong(4, Line());
  wrong[0].vectors.pop_back();
  wrong[1].vectors[0] = std::numeric_limits<float>::quiet_NaN();
  wrong[2].weights = {1.0f};
  wrong[3].weights = {1.0f, 1.0f, 0.0f, 1.0f};
  for (const Anchors& anchors : wrong) EXPECT_EQ(code({}, anchors), ErrorCode::kInvalidArgument);
}

TEST(KnnClassifier, LetsTheMemoryOpenAClassAndForgetsItWithTheMemory) {
  KnnClassifier knn = KnnClassifier::Create({.classes = 2, .k = 1}, Line()).value();
  const std::vector<float> feature(Line().dims, -1.0f);
  Anchors memory;
  memory.Add(feature, 2);
  ASSERT_TRUE(knn.SetMemory(memory, 1).ok());
  EXPECT_EQ(knn.classes(), 3u);
  std::vector<float> votes(3);
  EXPECT_EQ(knn.Classify(feature, votes).nearest, 2);
  EXPECT_EQ(votes, (std::vector<float>{0.0f, 0.0f, 1.0f}));

  ASSERT_TRUE(knn.SetMemory({}).ok());
  EXPECT_EQ(knn.classes(), 2u);
  EXPECT_LT(knn.Classify(feature).nearest, 2);
  EXPECT_FALSE(knn.SetMemory(memory).ok());
  EXPECT_FALSE(knn.SetMemory(memory, kUnknownLabel).ok());
}

TEST(KnnClassifier, RefusesAMemoryThatDoesNotFitAndKeepsTheOld) {
  KnnClassifier knn = Make({.memory_max = 2}, Line());
  Anchors memory;
  memory.Add(Vector{3.0f, 3.0f}, 1);
  ASSERT_TRUE(knn.SetMemory(memory).ok());

  Anchors longer;
  longer.Add(Vector{1.0f, 2.0f, 3.0f}, 0);
  EXPECT_EQ(knn.SetMemory(longer).error().code, base::ErrorCode::kInvalidArgument);
  Anchors unknown_class;
  unknown_class.Add(Vector{1.0f, 2.0f}, 2);
  EXPECT_EQ(knn.SetMemory(unknown_class).error().code, base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(knn.SetMemory(Line()).error().code, base::ErrorCode::kExhausted);
  EXPECT_EQ(knn.memory(), memory);
}

TEST(Anchors, KeepsWeightsBesideVectorsOnceOneIsGiven) {
  Anchors anchors;
  anchors.Add(Vector{1.0f}, 0);
  EXPECT_TRUE(anchors.weights.empty());
  anchors.Add(Vector{2.0f}, 1, 3.0f);
  anchors.Add(Vector{3.0f}, 1);
  EXPECT_EQ(anchors.weights, (Vector{1.0f, 3.0f, 1.0f}));
}

}  // namespace
}  // namespace tinylcm::classify
