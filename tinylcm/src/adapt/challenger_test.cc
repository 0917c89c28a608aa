#include "tinylcm/adapt/challenger.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"
#include "tests/support/allocations.h"

namespace tinylcm::adapt {
namespace {

using classify::Anchors;

// Two classes: class 0 around (0, 0), class 1 around (4, 2), spread 1.
struct World {
  Anchors anchors;
  std::vector<float> features;  // The stream.
  std::vector<std::uint16_t> truth;
};

World MakeWorld(double share_of_one, float gain, float bias, std::uint64_t seed) {
  base::Random random(seed);
  World world;
  world.anchors.dims = 2;
  const auto draw = [&](std::uint16_t label) {
    return std::vector<float>{static_cast<float>(4.0 * label + random.Normal()),
                              static_cast<float>(2.0 * label + random.Normal())};
  };
  for (int i = 0; i < 200; ++i) {
    const auto label = static_cast<std::uint16_t>(i % 2);
    world.anchors.Add(draw(label), label);
  }
  for (int i = 0; i < 300; ++i) {
    const auto label = static_cast<std::uint16_t>(random.Uniform() < share_of_one ? 1 : 0);
    std::vector<float> row = draw(label);
    row[0] = row[0] * gain + bias;  // Only the first channel ages.
    world.features.insert(world.features.end(), row.begin(), row.end());
    world.truth.push_back(label);
  }
  return world;
}

std::vector<LabelledRow> LabelEvery(const World& world, std::uint32_t step) {
  std::vector<LabelledRow> labelled;
  for (std::uint32_t row = 0; row < world.truth.size(); row += step) {
    labelled.push_back({row, world.truth[row]});
  }
  return labelled;
}

TEST(FeatureTransform, MultipliesAMatrixInPlaceAndWithoutAllocating) {
  // Eighteen channels: more than the sixteen sums that a row is made of.
  constexpr std::size_t kDims = 18;
  FeatureTransform transform;
  std::vector<float> feature;
  for (std::size_t j = 0; j < kDims; ++j) feature.push_back(static_cast<float>(j) - 2.0f);
  std::vector<float> expected;
  for (std::size_t j = 0; j < kDims; ++j) {
    transform.shift.push_back(static_cast<float>(j));
    float sum = static_cast<float>(j);
    for (std::size_t i = 0; i < kDims; ++i) {
      transform.matrix.push_back(static_cast<float>(7 * j) - static_cast<float>(i));
      sum += transform.matrix.back() * feature[i];
    }
    transform.scale.push_back(transform.matrix[j * kDims + j]);
    expected.push_back(sum);
  }
  ASSERT_TRUE(transform.is_valid());
  const std::uint64_t before = testing_support::Allocations();
  transform.Apply(feature);
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
  EXPECT_EQ(feature, expected);  // Whole numbers: exact in whatever order.
  transform.matrix.pop_back();
  EXPECT_FALSE(transform.is_valid());
}

// The head says class 2, the neighbours class 0.
TEST(AnswerByHead, ReplacesTheVoteAndKeepsTheNeighbours) {
  Anchors anchors;
  anchors.Add(std::vector<float>{1.0f, 0.0f}, 0);
  anchors.Add(std::vector<float>{0.0f, 1.0f}, 1);
  classify::KnnClassifier knn =
      classify::KnnClassifier::Create({.classes = 2, .unknown_below = 0.6f}, anchors).value();
  Anchors memory;
  memory.Add(std::vector<float>{-1.0f, 0.0f}, 2);
  ASSERT_TRUE(knn.SetMemory(memory, 1).ok());
  // Logits 0, 0 and log 6: shares 1/8, 1/8 and 6/8.
  const classify::HeadTensors head = {.weights = {0, 0, 0, 0, 0, 0},
                                      .bias = {0, 0, std::log(6.0f)}};
  const std::vector<float> feature = {1.0f, 0.25f};
  std::vector<float> share(3);
  const classify::Prediction voted = knn.Classify(feature, share);
  ASSERT_EQ(voted.nearest, 0);
  classify::Prediction said = voted;
  AnswerByHead(head, knn, feature, share, said);
  EXPECT_EQ(said.nearest, 2);
  EXPECT_NEAR(said.share, 0.75f, 1e-6f);
  EXPECT_NEAR(share[1], 0.125f, 1e-6f);
  EXPECT_EQ(said.label, 2);
  EXPECT_EQ(said.anchor_distance, voted.anchor_distance);
  EXPECT_EQ(said.neighbours[0].anchor, voted.neighbours[0].anchor);
  // Less sure than is asked for: it will not say.
  AnswerByHead({.weights = head.weights, .bias = {0, 0, 0}}, knn, feature, share, said);
  EXPECT_EQ(said.label, classify::kUnknownLabel);
}

TEST(Challenger, HasANameThatReadsBack) {
  for (const ChallengerKind& kind : AllChallengers()) {
    EXPECT_EQ(ParseChallenger(kind.name()).value(), kind) << kind.name();
  }
  EXPECT_EQ(AllChallengers().front().name(), "none");
  EXPECT_EQ((ChallengerKind{Alignment::kMovedChannels, Memory::kPropagated}.name()),
            "moved_channels+propagated");
  EXPECT_FALSE(ParseChallenger("retrain").ok());
}

TEST(Challenger, UndoesAGainAndABiasOfOneChannelAndLeavesTheOtherAlone) {
  const World world = MakeWorld(0.5, 0.3f, 10.0f, 11);
  const ClassMoments moments = ClassMoments::Of(world.anchors, 2);
  const Challenger challenger = MakeChallenger({Alignment::kMovedChannels, Memory::kNone},
                                               world.features, moments, LabelEvery(world, 10), {});
  // y = .3 x + 10, so x = y / .3 - 33.3; estimated from 300 rows, hence the width.
  EXPECT_NEAR(challenger.transform.scale[0], 1.0 / 0.3, 0.4);
  EXPECT_NEAR(challenger.transform.shift[0], -10.0 / 0.3, 4.0);
  EXPECT_EQ(challenger.transform.scale[1], 1.0f);
  EXPECT_EQ(challenger.transform.shift[1], 0.0f);
  EXPECT_TRUE(challenger.memory.labels.empty());
}

TEST(Challenger, DoesNotTakeAnotherMixOfClassesForAMovedChannel) {
  // Nine of ten are of class 1 now: the mean of both channels moved, but no channel did.
  const World world = MakeWorld(0.9, 1.0f, 0.0f, 5);
  const ClassMoments moments = ClassMoments::Of(world.anchors, 2);
  const std::vector<double> as_before = {0.5, 0.5};
  const FeatureTransform blind = Align(Alignment::kMean, world.features, moments, as_before);
  EXPECT_LT(blind.shift[0], -1.0f);  // Would pull every one towards a zero.

  const Challenger informed = MakeChallenger({Alignment::kMean, Memory::kNone}, world.features,
                                             moments, LabelEvery(world, 10), {});
  EXPECT_LT(std::abs(informed.transform.shift[0]), 0.5f);
}

TEST(Challenger, EstimatesTheClassSharesFromTheLabelledClusters) {
  ClassMoments anchors;
  anchors.classes = 2;
  anchors.shares = {0.5, 0.5};
  Clustering clustering;
  clustering.masses = {0.75f, 0.25f};
  const std::vector<LabelledRow> labelled = {{0, 1}, {1, 0}};
  // (90 * .75 + 10 * .5) / 100 and (90 * .25 + 10 * .5) / 100.
  const std::vector<double> priors = EstimatePriors(anchors, clustering, labelled, 90);
  EXPECT_NEAR(priors[1], 0.725, 1e-9);
  EXPECT_NEAR(priors[0], 0.275, 1e-9);
}

TEST(Challenger, ShiftsTheMeanByWhatTheRowsAreWorth) {
  Anchors anchors;
  anchors.dims = 1;
  for (int i = 0; i < 4; ++i) anchors.Add(std::vector<float>{5.0f}, 0);
  const std::vector<float> features = {1, 1, 1, 1, 1, 1};  // Six rows, so 6 / (6 + 3) of the way.
  const std::vector<double> priors = {1.0};
  const FeatureTransform transform =
      Align(Alignment::kMean, features, ClassMoments::Of(anchors, 1), priors);
  EXPECT_FLOAT_EQ(transform.shift[0], 4.0f * 6.0f / 9.0f);
}

TEST(Challenger, RemembersTheLabelledAndTheirNearestWithWhereTheyCameFrom) {
  const World world = MakeWorld(0.5, 1.0f, 0.0f, 9);
  const ClassMoments moments = ClassMoments::Of(world.anchors, 2);
  const std::vector<LabelledRow> labelled = LabelEvery(world, 60);  // Five of them.
  const Challenger labelled_only =
      MakeChallenger({Alignment::kNone, Memory::kLabelled}, world.features, moments, labelled, {});
  ASSERT_EQ(labelled_only.memory.size(), 5u);
  EXPECT_EQ(labelled_only.memory.weight(0), 3.0f);

  const Challenger propagated =
      MakeChallenger({Alignment::kNone, Memory::kPropagated}, world.features, moments, labelled,
                     {.propagated_max = 8});
  EXPECT_EQ(propagated.memory.size(), 5u * 9u);  // Sixty a cluster: all find eight.
  ASSERT_EQ(propagated.provenance.size(), propagated.memory.size());
  for (std::size_t i = 5; i < propagated.memory.size(); ++i) {
    EXPECT_EQ(propagated.memory.labels[i], labelled[propagated.provenance[i].taught_by].label);
    EXPECT_EQ(propagated.memory.weight(i), 1.0f);
  }
}

TEST(Challenger, DoesNotRememberARowThatIsAboutToBeAsked) {
  const World world = MakeWorld(0.5, 1.0f, 0.0f, 9);
  const ClassMoments moments = ClassMoments::Of(world.anchors, 2);
  const std::vector<LabelledRow> labelled = {{0, world.truth[0]}};
  std::vector<std::uint32_t> left_out;
  for (std::uint32_t row = 1; row < 298; ++row) left_out.push_back(row);
  const Challenger challenger = MakeChallenger({Alignment::kNone, Memory::kPropagated},
                                               world.features, moments, labelled, {}, left_out);
  EXPECT_EQ(challenger.memory.size(), 3u);  // The labelled one, 298 and 299.
}

// Correlation of the two channels of rows.
double Correlation(std::span<const float> rows) {
  double sums[2] = {}, squares[2] = {}, product = 0.0;
  const double n = static_cast<double>(rows.size()) / 2.0;
  for (std::size_t i = 0; i < rows.size(); i += 2) {
    const double x[2] = {static_cast<double>(rows[i]), static_cast<double>(rows[i + 1])};
    for (int c = 0; c < 2; ++c) sums[c] += x[c], squares[c] += x[c] * x[c];
    product += x[0] * x[1];
  }
  const auto spread = [&](int c) { return squares[c] / n - sums[c] / n * sums[c] / n; };
  return (product / n - sums[0] / n * sums[1] / n) / std::sqrt(spread(0) * spread(1));
}

TEST(Coral, BringsBackWhatChannelsHaveToDoWithEachOther) {
  World world = MakeWorld(0.5, 1.0f, 0.0f, 9);
  const double before = Correlation(world.anchors.vectors);
  for (std::size_t i = 0; i < world.features.size(); i += 2) {
    world.features[i + 1] -= 0.8f * world.features[i];  // The second channel leaks from the first.
  }
  const double aged = Correlation(world.features);
  ASSERT_GT(before, 0.4);
  ASSERT_LT(aged, -0.3);
  const ClassMoments moments = ClassMoments::Of(world.anchors, 2);
  const Challenger coral = MakeChallenger({Alignment::kCoral, Memory::kNone}, world.features,
                                          moments, LabelEvery(world, 10), {});
  std::vector<float> after = world.features;
  for (std::size_t i = 0; i < after.size(); i += 2) {
    coral.transform.Apply(std::span(after).subspan(i, 2));
  }
  // Correlations of 300 rows are believed by less than .7: more than half of the way.
  EXPECT_GT(Correlation(after), 0.5 * (before + aged));
}

TEST(Coral, UndoesTheGainOfOneChannelAndLeavesTheOther) {
  const World world = MakeWorld(0.5, 0.3f, 1.0f, 10);
  const ClassMoments moments = ClassMoments::Of(world.anchors, 2);
  const Challenger coral = MakeChallenger({Alignment::kCoral, Memory::kNone}, world.features,
                                          moments, LabelEvery(world, 10), {});
  EXPECT_NEAR(coral.transform.matrix[0], 1.0f / 0.3f, 0.5f);
  EXPECT_NEAR(coral.transform.matrix[3], 1.0f, 0.15f);
  EXPECT_NEAR(coral.transform.matrix[1], 0.0f, 0.35f);
}

TEST(Lda, FindsTheDirectionBetweenTwoClasses) {
  // Spheres of spread 1 around (0, 0) and (4, 2): the best weights lie along (4, 2).
  const World world = MakeWorld(0.5, 1.0f, 0.0f, 11);
  const ClassMoments moments = ClassMoments::Of(world.anchors, 2);
  const classify::HeadTensors head = FitLda(moments, {});
  ASSERT_TRUE(classify::Validate(head, 2, 2).ok());
  const float first = head.weights[2] - head.weights[0];
  const float second = head.weights[3] - head.weights[1];
  EXPECT_NEAR(first / second, 2.0f, 0.6f);
  // Half way between the centres it cannot tell.
  std::vector<float> share(2);
  classify::Probabilities(head, std::vector<float>{2.0f, 1.0f}, share);
  EXPECT_NEAR(share[0], 0.5f, 0.35f);
  classify::Probabilities(head, std::vector<float>{4.0f, 2.0f}, share);
  EXPECT_GT(share[1], 0.95f);
}

TEST(Lda, AnswersAnOpenedClassOnceItIsTaughtAndNeverBefore) {
  const World world = MakeWorld(0.5, 1.0f, 0.0f, 12);
  const ClassMoments moments = ClassMoments::Of(world.anchors, 3);  // The third has no anchors.
  const std::vector<float> far = {-8.0f, 8.0f};
  std::vector<float> share(3);
  classify::Probabilities(FitLda(moments, {}), far, share);
  EXPECT_EQ(share[2], 0.0f);
  Anchors memory;
  for (int i = 0; i < 9; ++i) memory.Add(far, 2);
  classify::Probabilities(FitLda(moments, memory), far, share);
  EXPECT_GT(share[2], 0.9f);
}

TEST(Challenger, LeavesSamplesOfAnOpenedClassOutOfTheAlignment) {
  // Half of the stream is of a class the bundle never had, far away; the rest has not moved.
  World world = MakeWorld(0.5, 1.0f, 0.0f, 13);
  base::Random random(14);
  for (int i = 0; i < 300; ++i) {
    world.features.push_back(static_cast<float>(40.0 + random.Normal()));
    world.features.push_back(static_cast<float>(-40.0 + random.Normal()));
    world.truth.push_back(2);
  }
  const Challenger mean =
      MakeChallenger({Alignment::kMean, Memory::kNone}, world.features,
                     ClassMoments::Of(world.anchors, 3), LabelEvery(world, 10), {});
  EXPECT_NEAR(mean.transform.shift[0], 0.0f, 0.6f);
  EXPECT_NEAR(mean.transform.shift[1], 0.0f, 0.6f);
}

TEST(Challenger, LetsALabelThatReviewersDisputeCountForLess) {
  const World world = MakeWorld(0.5, 1.0f, 0.0f, 15);
  std::vector<LabelledRow> labelled = LabelEvery(world, 100);
  labelled[1].weight = 0.5f;
  const Challenger challenger =
      MakeChallenger({Alignment::kNone, Memory::kPropagated}, world.features,
                     ClassMoments::Of(world.anchors, 2), labelled, {});
  const ChallengerOptions usual;
  for (std::size_t i = 0; i < challenger.memory.size(); ++i) {
    const Provenance& from = challenger.provenance[i];
    const bool is_labelled = from.row == labelled[from.taught_by].row;
    const float full = is_labelled ? usual.weight_labelled : usual.weight_propagated;
    EXPECT_EQ(challenger.memory.weight(i), full * labelled[from.taught_by].weight) << i;
  }
}

}  // namespace
}  // namespace tinylcm::adapt
