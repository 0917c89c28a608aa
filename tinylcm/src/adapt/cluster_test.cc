#include "tinylcm/adapt/cluster.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"

namespace tinylcm::adapt {
namespace {

// Rows around four corners of a square, `shares` of each; all moved by `offset`.
std::vector<float> FourCorners(std::vector<int> shares, float offset, std::uint64_t seed) {
  base::Random random(seed);
  std::vector<float> rows;
  for (int corner = 0; corner < 4; ++corner) {
    for (int i = 0; i < shares[static_cast<std::size_t>(corner)]; ++i) {
      const double x = (corner & 1) != 0 ? 1.0 : -1.0;
      const double y = (corner & 2) != 0 ? 1.0 : -1.0;
      rows.push_back(static_cast<float>(x + 0.05 * random.Normal()) + offset);
      rows.push_back(static_cast<float>(y + 0.05 * random.Normal()) + offset);
    }
  }
  return rows;
}

TEST(Cluster, FindsTheGroupsThereAreAndWhatTheyWeigh) {
  const std::vector<float> rows = FourCorners({40, 30, 20, 10}, 0.0f, 7);
  const Clustering clustering = Cluster(rows, 2, {.clusters = 4, .seed = 7});
  ASSERT_EQ(clustering.medoids.size(), 4u);
  // Numbered in the order of their first row, so cluster c is corner c.
  const std::vector<float> expected = {0.4f, 0.3f, 0.2f, 0.1f};
  for (std::size_t c = 0; c < 4; ++c) {
    EXPECT_NEAR(clustering.masses[c], expected[c], 1e-5);
    EXPECT_EQ(clustering.cluster_of[clustering.medoids[c]], c);
  }
}

TEST(Cluster, SeesThroughAShiftThatAllRowsShare) {
  // Moved by a hundred, all rows point the same way; only about their own mean do they differ.
  const Clustering moved =
      Cluster(FourCorners({25, 25, 25, 25}, 100.0f, 3), 2, {.clusters = 4, .seed = 3});
  ASSERT_EQ(moved.medoids.size(), 4u);
  for (const float mass : moved.masses) EXPECT_NEAR(mass, 0.25f, 1e-5);
}

TEST(Cluster, GivesTheSameAnswerForTheSameSeed) {
  const std::vector<float> rows = FourCorners({25, 25, 25, 25}, 0.0f, 1);
  const Clustering once = Cluster(rows, 2, {.clusters = 10, .seed = 5});
  const Clustering again = Cluster(rows, 2, {.clusters = 10, .seed = 5});
  EXPECT_EQ(once.medoids, again.medoids);
  EXPECT_EQ(once.cluster_of, again.cluster_of);
}

TEST(Cluster, AsksNothingTwiceWhereRowsAreAlike) {
  const std::vector<float> rows(40, 1.5f);  // Twenty times the same row.
  const Clustering clustering = Cluster(rows, 2, {.clusters = 5});
  ASSERT_EQ(clustering.medoids.size(), 1u);
  EXPECT_NEAR(clustering.masses[0], 1.0f, 1e-5);
  EXPECT_TRUE(Cluster({}, 2, {}).medoids.empty());
}

TEST(Cluster, PartsTwoGroupsThatOneClusterHides) {
  // Two clusters for four corners; parted, there are four, and what they weigh is told.
  const std::vector<float> rows = FourCorners({40, 30, 20, 10}, 0.0f, 7);
  const Clustering pairs = Cluster(rows, 2, {.clusters = 2, .seed = 7});
  ASSERT_EQ(pairs.medoids.size(), 2u);
  const Clustering parted = SplitGroups(pairs, rows, 2, {});
  ASSERT_EQ(parted.medoids.size(), 4u);
  std::multiset<int> percents;
  for (std::uint32_t c = 0; c < 4; ++c) {
    EXPECT_EQ(parted.cluster_of[parted.medoids[c]], c);
    percents.insert(static_cast<int>(parted.masses[c] * 100.0f + 0.5f));
  }
  EXPECT_EQ(percents, (std::multiset<int>{10, 20, 30, 40}));
}

TEST(Cluster, LeavesGroupsWhole) {
  const std::vector<float> rows = FourCorners({40, 30, 20, 10}, 0.0f, 7);
  const Clustering four = Cluster(rows, 2, {.clusters = 4, .seed = 7});
  const Clustering same = SplitGroups(four, rows, 2, {});
  EXPECT_EQ(same.cluster_of, four.cluster_of);
  EXPECT_EQ(same.medoids, four.medoids);
  // Three strays are no group.
  const std::vector<float> strays = FourCorners({40, 3, 0, 0}, 0.0f, 2);
  const Clustering one = SplitGroups(Cluster(strays, 2, {.clusters = 1}), strays, 2, {});
  EXPECT_EQ(one.medoids.size(), 1u);
}

TEST(Cluster, FormsAnewAroundGivenRows) {
  const std::vector<float> rows = FourCorners({10, 10, 10, 10}, 0.0f, 2);
  // Two of the corners are labelled: each other row joins one of the two.
  const std::vector<std::uint32_t> centres = {0, 30};
  const Clustering clustering = ClusterAround(rows, 2, centres);
  EXPECT_EQ(clustering.cluster_of[5], 0u);
  EXPECT_EQ(clustering.cluster_of[35], 1u);
  EXPECT_EQ(clustering.medoids, centres);
  EXPECT_NEAR(clustering.masses[0] + clustering.masses[1], 1.0f, 1e-5);
}

}  // namespace
}  // namespace tinylcm::adapt
