#include "tinylcm/adapt/eviction.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <vector>

#include "base/random.h"

namespace tinylcm::adapt {
namespace {

TEST(Eviction, TakesFromTheLargestClassTheOneBetweenTheClosestTwo) {
  const std::vector<EvictionCandidate> candidates = {
      {.group = 1, .novelty = 0.1f}, {.group = 2, .novelty = 0.50f}, {.group = 1, .novelty = 0.9f},
      {.group = 1, .novelty = 0.5f}, {.group = 1, .novelty = 0.55f}, {.group = 2, .novelty = 0.51f},
  };
  // Class 1 has four, at .1 .5 .55 .9. Without .5 the hole is .45 wide (.1 to .55), without .55 it
  // is .4 (.5 to .9), and the ends stay: the one at .55 goes, and .5 is the nearest to it.
  EXPECT_EQ(WhoGivesWay(candidates), (Eviction{.gives_way = 4, .heir = 3}));
}

TEST(Eviction, NeverTakesOneThatIsHeld) {
  std::vector<EvictionCandidate> candidates = {
      {.group = 1, .novelty = 0.1f, .is_held = true},
      {.group = 1, .novelty = 0.2f, .is_held = true},
      {.group = 1, .novelty = 0.3f, .is_held = true},
      {.group = 7, .novelty = 0.3f},
  };
  // The largest class is held whole, so the only free one goes, and nobody is left to stand for it.
  EXPECT_EQ(WhoGivesWay(candidates), (Eviction{.gives_way = 3, .heir = std::nullopt}));
  candidates[3].is_held = true;
  EXPECT_EQ(WhoGivesWay(candidates), std::nullopt);
  EXPECT_EQ(WhoGivesWay({}), std::nullopt);
}

TEST(Eviction, GivesTiesToTheLowerClassAndTheOlderSample) {
  const std::vector<EvictionCandidate> candidates = {
      {.group = 5, .novelty = 0.5f}, {.group = 5, .novelty = 0.5f}, {.group = 5, .novelty = 0.5f},
      {.group = 2, .novelty = 0.5f}, {.group = 2, .novelty = 0.5f}, {.group = 2, .novelty = 0.5f},
  };
  // Class 2; of three alike the middle one is the first that is no end.
  EXPECT_EQ(WhoGivesWay(candidates)->gives_way, 4u);
}

// 1,000 samples through 60 places: nine in ten are of class 0.
TEST(Eviction, LeavesARareClassAndTheFarSamplesWhatTheyHave) {
  for (const std::uint64_t seed : {1u, 2u, 3u}) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    base::Random random(seed);
    std::vector<EvictionCandidate> kept;
    int rare_seen = 0;
    float farthest = 0.0f;
    for (int i = 0; i < 1000; ++i) {
      const bool is_rare = random.Below(10) == 0;
      rare_seen += is_rare ? 1 : 0;
      kept.push_back({.group = static_cast<std::uint16_t>(is_rare ? 1 : 0),
                      .novelty = static_cast<float>(random.Uniform())});
      if (!is_rare) farthest = std::max(farthest, kept.back().novelty);
      if (kept.size() <= 60) continue;
      const auto gone = WhoGivesWay(kept);
      ASSERT_TRUE(gone.has_value());
      kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(gone->gives_way));
    }
    std::map<int, std::vector<float>> of;
    for (const EvictionCandidate& one : kept) of[one.group].push_back(one.novelty);
    ASSERT_GT(rare_seen, 30);
    EXPECT_EQ(of[0].size(), 30u);  // Half and half, although one came nine times as often.
    EXPECT_EQ(of[1].size(), 30u);
    EXPECT_EQ(*std::max_element(of[0].begin(), of[0].end()), farthest);
    // Evenly spread: each quarter of the range holds about a quarter of the thirty.
    for (int quarter = 0; quarter < 4; ++quarter) {
      int inside = 0;
      for (const float novelty : of[0]) inside += static_cast<int>(novelty * 4.0f) == quarter;
      EXPECT_GE(inside, 5) << "quarter " << quarter;
      EXPECT_LE(inside, 10) << "quarter " << quarter;
    }
  }
}

}  // namespace
}  // namespace tinylcm::adapt
