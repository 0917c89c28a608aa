#include "tinylcm/drift/conformal_rank.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "tests/support/allocations.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

ConformalRank Make(const ConformalRank::Options& options) {
  return ConformalRank::Create(options).value();
}

// 1, 2, ... count into class `label`, in an order that is no order.
void Feed(ConformalRank& rank, std::uint16_t label, int count) {
  for (int i = 0; i < count; ++i) rank.Observe(label, static_cast<float>(1 + (i * 37) % count));
}

TEST(ConformalRank, PlacesAValueAmongThoseSeen) {
  ConformalRank rank = Make({.classes = 1});
  Feed(rank, 0, 99);
  // Above all 99: between the places 99/100 and 100/100. Below all: between 0 and 1/100. At 49.5:
  // 49 are below, so between 49/100 and 50/100.
  EXPECT_GE(rank.Score(0, 1000.0f), NormalQuantile(0.99));
  EXPECT_LE(rank.Score(0, -1000.0f), NormalQuantile(0.01));
  const double middle = rank.Score(0, 49.5f);
  EXPECT_GE(middle, NormalQuantile(0.49));
  EXPECT_LE(middle, NormalQuantile(0.50));
}

TEST(ConformalRank, MeasuresAClassAgainstItsOwnKindOnly) {
  ConformalRank rank = Make({.classes = 2});
  Feed(rank, 0, 50);
  for (int i = 0; i < 50; ++i) rank.Observe(1, 1000.0f + static_cast<float>(i));
  EXPECT_LT(rank.Score(1, 900.0f), -1.9);  // Small for its kind, though larger than all of class 0.
  EXPECT_GT(rank.Score(0, 900.0f), 1.9);
}

// Whatever the distribution, scores are standard normal: mean 0, variance 1, and a tenth in each
// tenth. Here log-normal values and values of six levels only, with as little as one to compare
// with.
TEST(ConformalRank, ScoresAreNormalWhateverTheValuesAre) {
  const std::uint64_t seed = 3;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  for (const bool discrete : {false, true}) {
    ConformalRank rank = Make({.classes = 4, .seed = seed});
    const int count = 20'000;
    double sum = 0.0;
    double squares = 0.0;
    std::map<int, int> tenths;
    for (int i = 0; i < count; ++i) {
      const double wild = std::exp(random.Normal());
      const auto value = static_cast<float>(discrete ? std::floor(std::min(wild, 5.0)) : wild);
      const double z = rank.Observe(static_cast<std::uint16_t>(random.Below(4)), value);
      sum += z;
      squares += z * z;
      tenths[static_cast<int>(10.0 * NormalProbability(z))] += 1;
    }
    // Four standard errors, widened by half for the reference of 256 that all have in common.
    EXPECT_NEAR(sum / count, 0.0, 6.0 / std::sqrt(count)) << discrete;
    EXPECT_NEAR(squares / count, 1.0, 6.0 * std::sqrt(2.0 / count)) << discrete;
    for (const auto& [tenth, hits] : tenths) EXPECT_NEAR(hits, count / 10, 300) << tenth;
  }
}

TEST(ConformalRank, HoldsNewcomersBackAndDropsThemAfterAnAlarm) {
  ConformalRank rank = Make({.classes = 1, .hold_back = 10});
  Feed(rank, 0, 30);
  EXPECT_EQ(rank.state().seen[0], 20u);
  EXPECT_EQ(rank.live_samples(0), 30u);

  for (int i = 0; i < 10; ++i) rank.Observe(0, 1000.0f);
  rank.DiscardWaiting();

  EXPECT_EQ(rank.live_samples(0), 30u);
  EXPECT_GE(rank.Score(0, 1000.0f), NormalQuantile(30.0 / 31.0));  // Still the highest of all.
}

TEST(ConformalRank, LetsThoseWhoWaitJoinWhenTold) {
  ConformalRank rank = Make({.classes = 1, .hold_back = 10});
  Feed(rank, 0, 30);
  rank.Release();
  rank.DiscardWaiting();
  EXPECT_EQ(rank.live_samples(0), 30u);
}

// Of 10,000 values seen the reservoir holds 256 from all of the stream: each quarter of it gives
// about 64 (binomial, sd 7).
TEST(ConformalRank, KeepsAFairSampleOfAllItSaw) {
  ConformalRank rank = Make({.classes = 1, .hold_back = 0, .seed = 5});
  for (int i = 0; i < 10'000; ++i) rank.Observe(0, static_cast<float>(i));
  const ConformalRank::State state = rank.state();
  ASSERT_EQ(state.reservoirs[0].size(), 256u);
  for (int quarter = 0; quarter < 4; ++quarter) {
    const auto within = std::ranges::count_if(state.reservoirs[0], [&](float value) {
      return static_cast<int>(value) / 2500 == quarter;
    });
    EXPECT_NEAR(static_cast<double>(within), 64.0, 28.0) << quarter;
  }
}

TEST(ConformalRank, FillsARareClassUpFromTheFactory) {
  std::vector<float> factory;
  for (int i = 1; i <= 200; ++i) factory.push_back(static_cast<float>(i));
  ConformalRank with = Make({.classes = 2, .factory = {{}, factory}});
  ConformalRank without = Make({.classes = 2});
  // Nobody of class 1 was seen. Alone, a rank says nothing (anything from 0 to 1); with twenty from
  // the factory, 1000 lies above 20 of 21.
  EXPECT_GE(with.Score(1, 1000.0f), NormalQuantile(20.0 / 21.0));
  // The twenty are 6, 16 ... 196, so 101 lies above ten of them.
  for (int i = 0; i < 50; ++i) {
    const double middle = with.Score(1, 101.0f);
    EXPECT_GE(middle, NormalQuantile(10.0 / 21.0));
    EXPECT_LE(middle, NormalQuantile(11.0 / 21.0));
  }
  double lowest = 10.0;
  for (int i = 0; i < 50; ++i) lowest = std::min(lowest, without.Score(1, 1000.0f));
  EXPECT_LT(lowest, 0.0);

  // Twenty of the class's own later, the factory's values are out of the game: all its values lie
  // above 200, so a 200 is now the lowest.
  for (int i = 0; i < 20; ++i) with.Observe(1, 500.0f + static_cast<float>(i));
  EXPECT_LE(with.Score(1, 200.5f), NormalQuantile(1.0 / 21.0));
}

TEST(ConformalRank, GoesOnFromARestoredState) {
  const ConformalRank::Options options{.classes = 3, .reservoir = 20, .hold_back = 7, .seed = 11};
  ConformalRank whole = Make(options);
  base::Random random(1);
  const auto next = [&random](ConformalRank& rank) {
    const auto label = static_cast<std::uint16_t>(random.Below(3));
    return rank.Observe(label, static_cast<float>(random.Normal()));
  };
  for (int i = 0; i < 200; ++i) next(whole);
  ConformalRank restored = Make(options);
  ASSERT_TRUE(restored.Restore(whole.state()).ok());
  EXPECT_EQ(restored.state(), whole.state());
  for (int i = 0; i < 200; ++i) {
    const base::Random before = random;
    const double expected = next(whole);
    random = before;
    ASSERT_EQ(next(restored), expected) << i;
  }
}

TEST(ConformalRank, RefusesAStateOfAnotherShapeAndStaysAsItWas) {
  ConformalRank rank = Make({.classes = 2, .reservoir = 8, .hold_back = 4});
  Feed(rank, 0, 20);
  const ConformalRank::State good = rank.state();
  std::vector<ConformalRank::State> wrong(7, good);
  wrong[0].reservoirs.pop_back();
  wrong[1].seen.pop_back();
  wrong[2].reservoirs[0].push_back(1.0f);
  wrong[3].seen[1] = 3;  // Three seen, none kept.
  wrong[4].waiting.resize(5);
  wrong[5].waiting[0].label = 2;
  wrong[6].reservoirs[0][0] = std::numeric_limits<float>::quiet_NaN();
  for (const ConformalRank::State& state : wrong) {
    EXPECT_FALSE(rank.Restore(state).ok());
    EXPECT_EQ(rank.state(), good);
  }
}

TEST(ConformalRank, RefusesOptionsThatCannotWork) {
  EXPECT_FALSE(ConformalRank::Create({.classes = 0}).ok());
  EXPECT_FALSE(ConformalRank::Create({.reservoir = 0}).ok());
  EXPECT_FALSE(ConformalRank::Create({.classes = 1, .factory = {{1.0f}, {1.0f}}}).ok());
  EXPECT_FALSE(ConformalRank::Create({.factory = {{std::numeric_limits<float>::infinity()}}}).ok());
}

TEST(ConformalRank, AllocatesNothing) {
  ConformalRank rank = Make({.classes = 2, .reservoir = 16, .hold_back = 4});
  const std::uint64_t before = testing_support::Allocations();
  Feed(rank, 0, 1000);
  rank.Release();
  rank.Reset();
  Feed(rank, 1, 1000);
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

}  // namespace
}  // namespace tinylcm::drift
