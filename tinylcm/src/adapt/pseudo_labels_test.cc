#include "tinylcm/adapt/pseudo_labels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/random.h"

namespace tinylcm::adapt {
namespace {

constexpr std::size_t kDims = 6;
constexpr std::uint16_t kClasses = 3;
constexpr std::uint64_t kSeed = 11;

// Class c lies at 4 on axis c; every axis has noise.
void AddRows(base::Random& random, std::uint16_t label, int count, double noise,
             std::vector<float>& rows) {
  for (int i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < kDims; ++j) {
      rows.push_back(static_cast<float>((j == label ? 4.0 : 0.0) + noise * random.Normal()));
    }
  }
}

struct World {
  classify::KnnClassifier knn;
  std::vector<std::vector<float>> usual;
};

// 40 anchors and 100 held-out samples a class, with noise of .5.
World MakeWorld() {
  base::Random random(kSeed);
  classify::Anchors anchors;
  anchors.dims = kDims;
  for (std::uint16_t c = 0; c < kClasses; ++c) {
    std::vector<float> rows;
    AddRows(random, c, 40, 0.5, rows);
    for (std::size_t i = 0; i < 40; ++i) {
      anchors.Add(std::span<const float>(rows).subspan(i * kDims, kDims), c);
    }
  }
  World world{classify::KnnClassifier::Create(
                  {.classes = kClasses, .metric = classify::Metric::kEuclidean}, anchors)
                  .value(),
              {}};
  for (std::uint16_t c = 0; c < kClasses; ++c) {
    std::vector<float> rows;
    AddRows(random, c, 100, 0.5, rows);
    std::vector<float>& distances = world.usual.emplace_back();
    for (std::size_t i = 0; i < 100; ++i) {
      distances.push_back(world.knn.Classify(std::span<const float>(rows).subspan(i * kDims, kDims))
                              .anchor_distance);
    }
    std::sort(distances.begin(), distances.end());
  }
  return world;
}

// 30 rows of each class, as usual: rows 0 to 29 are of class 0.
std::vector<float> UsualStream(std::uint64_t seed = 5) {
  base::Random random(seed);
  std::vector<float> rows;
  for (std::uint16_t c = 0; c < kClasses; ++c) AddRows(random, c, 30, 0.5, rows);
  return rows;
}

const PseudoCluster* Of(const PseudoLabels& labels, std::uint16_t label) {
  for (const PseudoCluster& cluster : labels.clusters) {
    if (cluster.label == label) return &cluster;
  }
  return nullptr;
}

TEST(PseudoLabels, BelievesClustersThatStandApartAreAgreedUponAndNotFarOff) {
  World world = MakeWorld();
  const std::vector<float> rows = UsualStream();
  const PseudoLabels labels = MakePseudoLabels(world.knn, world.usual, rows, {}).value();
  ASSERT_EQ(labels.clusters.size(), 3u);
  for (const PseudoCluster& cluster : labels.clusters) {
    EXPECT_EQ(cluster.members, 30u);
    EXPECT_GT(cluster.silhouette, 0.5);
    EXPECT_TRUE(cluster.is_believed) << cluster.label;
  }
  EXPECT_EQ(labels.challenger.kind.name(), "pseudo");
  EXPECT_TRUE(labels.challenger.transform.is_identity());
  ASSERT_EQ(labels.challenger.provenance.size(), labels.challenger.memory.size());
  for (std::size_t i = 0; i < labels.challenger.memory.size(); ++i) {
    const std::uint32_t row = labels.challenger.provenance[i].row;
    EXPECT_EQ(labels.challenger.memory.labels[i], row / 30);
    EXPECT_TRUE(std::ranges::equal(labels.challenger.memory.row(i),
                                   std::span<const float>(rows).subspan(row * kDims, kDims)));
  }
}

TEST(PseudoLabels, RemembersHalfAsManyAsAClassHasAnchorsAndTheNearestOfThem) {
  World world = MakeWorld();
  const std::vector<float> rows = UsualStream();
  const PseudoLabels labels = MakePseudoLabels(world.knn, world.usual, rows, {}).value();
  // Half of 40 anchors; each cluster had about 30 to offer.
  EXPECT_EQ(labels.challenger.memory.size(), 3u * 20u);
  const auto distance = [&](std::uint32_t row) {
    return world.knn.Classify(std::span<const float>(rows).subspan(row * kDims, kDims))
        .anchor_distance;
  };
  float farthest_taken = 0.0f;
  std::set<std::uint32_t> taken;
  for (const Provenance& from : labels.challenger.provenance) {
    taken.insert(from.row);
    if (from.row < 30) farthest_taken = std::max(farthest_taken, distance(from.row));
  }
  EXPECT_EQ(taken.size(), 60u) << "a row is remembered once";
  int nearer_left = 0;
  for (std::uint32_t row = 0; row < 30; ++row) {
    if (!taken.contains(row) && distance(row) < farthest_taken) ++nearer_left;
  }
  EXPECT_EQ(nearer_left, 0);
}

TEST(PseudoLabels, DoesNotBelieveAClusterFartherOffThanIsUsual) {
  World world = MakeWorld();
  base::Random random(5);
  std::vector<float> rows;
  AddRows(random, 0, 30, 0.5, rows);
  AddRows(random, 1, 30, 0.5, rows);
  // Class 2 has moved by 2 along an axis of nobody's: still voted "2", still apart.
  std::vector<float> moved;
  AddRows(random, 2, 30, 0.5, moved);
  for (std::size_t i = 5; i < moved.size(); i += kDims) moved[i] += 2.0f;
  rows.insert(rows.end(), moved.begin(), moved.end());
  const PseudoLabels labels = MakePseudoLabels(world.knn, world.usual, rows, {}).value();
  const PseudoCluster* two = Of(labels, 2);
  ASSERT_NE(two, nullptr);
  EXPECT_GT(two->silhouette, 0.25);
  EXPECT_GE(two->agreed_alone, 0.9);
  EXPECT_LT(two->within, 0.9);
  EXPECT_FALSE(two->is_believed);
  EXPECT_EQ(std::ranges::count(labels.challenger.memory.labels, 2), 0);
  EXPECT_TRUE(Of(labels, 0)->is_believed);
}

TEST(PseudoLabels, BelievesNothingTheTwoChallengersDoNotAgreeUpon) {
  World world = MakeWorld();
  // The whole stream moved from class 0 to class 1, so that rows of class 0 are taken for 1. Put
  // back where the mean of the anchors is, they are not.
  std::vector<float> rows = UsualStream();
  for (std::size_t i = 0; i < rows.size(); i += kDims) {
    rows[i] -= 4.0f;
    rows[i + 1] += 4.0f;
  }
  PseudoRule anywhere;
  anywhere.rank_max = 1.0;
  for (std::vector<float>& usual : world.usual) usual.back() = 1e6f;  // Nothing is far off.
  const PseudoLabels labels = MakePseudoLabels(world.knn, world.usual, rows, anywhere).value();
  std::uint32_t wrong = 0;
  for (const Provenance& from : labels.challenger.provenance) {
    wrong += from.row < 30 || from.row >= 60 ? 1 : 0;  // Of class 0 or 2, but voted 1.
  }
  EXPECT_EQ(wrong, 0u);
  bool is_disputed = false;
  for (const PseudoCluster& cluster : labels.clusters) {
    if (cluster.agreed_alone >= 0.9 && cluster.agreed_aligned < 0.9) {
      is_disputed = true;
      EXPECT_FALSE(cluster.is_believed);
    }
  }
  EXPECT_TRUE(is_disputed);
}

TEST(PseudoLabels, DoesNotBelieveClustersThatDoNotStandApart) {
  World world = MakeWorld();
  // One cloud in the place of class 1, cut into as many pieces as there are classes.
  base::Random random(5);
  std::vector<float> rows;
  AddRows(random, 1, 90, 0.5, rows);
  const PseudoLabels labels = MakePseudoLabels(world.knn, world.usual, rows, {}).value();
  ASSERT_GE(labels.clusters.size(), 2u);
  for (const PseudoCluster& cluster : labels.clusters) {
    EXPECT_LT(cluster.silhouette, 0.25);
    EXPECT_FALSE(cluster.is_believed);
  }
  EXPECT_EQ(labels.challenger.memory.size(), 0u);
}

TEST(PseudoLabels, BelievesNothingOfAClassOfWhichItIsNotKnownWhatIsUsual) {
  World world = MakeWorld();
  world.usual[1].resize(9);
  const PseudoLabels labels = MakePseudoLabels(world.knn, world.usual, UsualStream(), {}).value();
  EXPECT_FALSE(Of(labels, 1)->is_believed);
  EXPECT_TRUE(Of(labels, 0)->is_believed);
}

TEST(PseudoLabels, GivesTheSameAnswerForTheSameSeedAndNoneForNoRows) {
  World world = MakeWorld();
  const std::vector<float> rows = UsualStream();
  EXPECT_EQ(MakePseudoLabels(world.knn, world.usual, rows, {}).value().challenger.memory,
            MakePseudoLabels(world.knn, world.usual, rows, {}).value().challenger.memory);
  const PseudoLabels none = MakePseudoLabels(world.knn, world.usual, {}, {}).value();
  EXPECT_TRUE(none.clusters.empty());
  EXPECT_EQ(none.challenger.memory.size(), 0u);
}

TEST(PseudoLabels, RefusesWhatDoesNotFit) {
  World world = MakeWorld();
  const std::vector<float> rows(kDims + 1);
  EXPECT_FALSE(MakePseudoLabels(world.knn, world.usual, rows, {}).ok());
  world.usual.pop_back();
  EXPECT_FALSE(MakePseudoLabels(world.knn, world.usual, UsualStream(), {}).ok());
}

TEST(PseudoLabels, AreMarkedAsNobodysWordAndLeaveTheInputWhenTheyGo) {
  World world = MakeWorld();
  const PseudoLabels labels = MakePseudoLabels(world.knn, world.usual, UsualStream(), {}).value();
  std::vector<std::string> ids;
  for (int i = 0; i < 90; ++i) ids.push_back("s" + std::to_string(i));
  const InputHypothesis flat = InputHypothesis::Of({.kind = StepKind::kFlatField});
  const Adaptation made = ComposePseudo("b", "e", flat, labels, ids);
  EXPECT_TRUE(HasPseudo(made));
  ASSERT_EQ(made.entries.size(), made.memory.size());
  for (const MemoryEntry& entry : made.entries) {
    EXPECT_EQ(entry.origin, LabelOrigin::kPseudo);
    EXPECT_EQ(entry.taught_by, ids[labels.clusters[entry.cluster].medoid]);
    EXPECT_TRUE(entry.feedback_id.empty());
  }
  EXPECT_TRUE(made.labels.empty());
  EXPECT_EQ(ParseAdaptation(Serialise(made)).value(), made);

  const Adaptation left = WithoutPseudo(made);
  EXPECT_FALSE(HasPseudo(left));
  EXPECT_EQ(left.hypothesis, flat);
  EXPECT_EQ(left.memory.size(), 0u);
  EXPECT_TRUE(left.entries.empty());
  EXPECT_EQ(WithoutPseudo(left), left);
}

}  // namespace
}  // namespace tinylcm::adapt
