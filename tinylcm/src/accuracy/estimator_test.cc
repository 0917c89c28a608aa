#include "tinylcm/accuracy/estimator.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "base/random.h"
#include "tests/support/allocations.h"

namespace tinylcm::accuracy {
namespace {

constexpr std::uint64_t kSeed = 20261121;

// Two classes whose held-out distances are the even numbers of (0, 1): a distance drawn from there
// has an even rank.
std::vector<std::vector<float>> Even(std::size_t count = 200) {
  std::vector<float> values;
  for (std::size_t i = 0; i < count; ++i) {
    values.push_back((static_cast<float>(i) + 0.5f) / static_cast<float>(count));
  }
  return {values, values};
}

// 400 of 500 right, as believed: nothing to correct.
constexpr Estimator::Canary kFairCanary{.count = 500, .right = 400, .believed = 400.0};

Estimator Make(const Estimator::Options& options) { return Estimator::Create(options).value(); }

// A world whose beliefs are true: each answer is right with the probability believed. Distances are
// raised to `power`: below 1 they are larger than held-out ones were.
class World {
 public:
  explicit World(std::uint64_t seed, double power = 1.0) : random_(seed), power_(power) {}

  // Shows `count` answers; returns the share that was right.
  double Show(Estimator& estimator, std::size_t count) {
    std::size_t right = 0;
    for (std::size_t i = 0; i < count; ++i) {
      const double belief = 0.6 + 0.4 * random_.Uniform();
      estimator.Observe({.predicted = static_cast<std::uint16_t>(random_.Below(2)),
                         .belief = belief,
                         .distance = std::pow(random_.Uniform(), power_)});
      right += random_.Uniform() < belief ? 1 : 0;
    }
    return static_cast<double>(right) / static_cast<double>(count);
  }

 private:
  base::Random random_;
  double power_;
};

TEST(Belief, IsTheConfidenceWhereTheNeighboursAreAsNearAsUsual) {
  EXPECT_EQ(Belief(0.9, 0.3, 10), 0.9);
  EXPECT_EQ(Belief(0.9, 1.0, 10), 0.9);
}

TEST(Belief, FallsWithTheDistanceDownToAGuess) {
  double before = 0.9;
  for (const double reach : {1.5, 2.0, 2.8, 4.0, 8.0}) {
    const double belief = Belief(0.9, reach, 10);
    EXPECT_LT(belief, before) << reach;
    before = belief;
  }
  EXPECT_NEAR(Belief(0.9, 1e6, 10), 0.1, 1e-9);
  // Half of the 0.8 above a guess, but for what was taken off at 1 already: (1/2.8)^5 = 0.006.
  EXPECT_NEAR(Belief(0.9, 2.8, 10), 0.1 + 0.4 * 1.006, 1e-3);
  EXPECT_NEAR(Belief(0.9, 1.0 + 1e-9, 10), 0.9, 1e-6);
}

TEST(Belief, OfAnAnswerBelowAGuessStays) { EXPECT_EQ(Belief(0.3, 50.0, 2), 0.3); }

TEST(Estimator, HoldsTheTruthInNineOfTenWindowsWhereNothingChanged) {
  SCOPED_TRACE(kSeed);
  World world(kSeed);
  Estimator estimator = Make({.held_out = Even(), .canary = kFairCanary});
  int held = 0;
  double off = 0.0;
  for (int window = 0; window < 200; ++window) {
    const double truth = world.Show(estimator, 500);
    const Estimate estimate = estimator.Over();
    ASSERT_TRUE(estimate.known());
    held += estimate.low <= truth && truth <= estimate.high;
    off += std::abs(estimate.mean - truth) / 200.0;
    // 1.645 sqrt(.147 / 500 + .0153^2) + .01 = .048 either way (.0153: what 500 labels leave of
    // .03), some more where chance makes the ranks uneven.
    EXPECT_NEAR(estimate.high - estimate.low, 0.096, 0.02);
  }
  EXPECT_GE(held, 180);
  EXPECT_LT(off, 0.02);  // sqrt(.147 / 500) = .017 is the window's own scatter.
}

TEST(Estimator, SaysUnknownUntilThirtyAnswersWereSeen) {
  World world(kSeed);
  Estimator estimator = Make({.held_out = Even(), .canary = kFairCanary});
  world.Show(estimator, 29);
  EXPECT_EQ(estimator.Over().unknown, Unknown::kTooFew);
  EXPECT_EQ(estimator.Over().answers, 29u);
  world.Show(estimator, 1);
  EXPECT_TRUE(estimator.Over().known());
}

TEST(Estimator, IsLessSureOfFewerAnswers) {
  World world(kSeed);
  Estimator estimator = Make({.held_out = Even(), .canary = kFairCanary});
  world.Show(estimator, 500);
  const Estimate all = estimator.Over();
  const Estimate few = estimator.Over(40);
  EXPECT_EQ(few.answers, 40u);
  EXPECT_GT(few.high - few.low, 1.5 * (all.high - all.low));
}

// Distances u^p with p = 0.5: P(u^p <= x) = x^2, so the largest gap is x - x^2 at 1/2: 0.25; with
// p = 0.1 it is x - x^10 at 10^(-1/9) = 0.774: 0.70.
TEST(Estimator, IsLessSureTheMoreTheRanksAreUneven) {
  SCOPED_TRACE(kSeed);
  World as_usual(kSeed);
  World farther(kSeed, 0.5);
  World far(kSeed, 0.1);
  Estimator estimator = Make({.window = 5'000, .held_out = Even(), .canary = kFairCanary});
  as_usual.Show(estimator, 5'000);
  const Estimate usual = estimator.Over();
  farther.Show(estimator, 5'000);
  const Estimate moved = estimator.Over();
  ASSERT_TRUE(moved.known());
  EXPECT_NEAR(moved.gap, 0.25, 0.03);  // Of 5,000: +-.007, and one of 64 steps.
  EXPECT_LT(moved.low, usual.low - 0.03);
  EXPECT_GT(moved.mean - moved.low, 1.3 * (moved.high - moved.mean));
  far.Show(estimator, 5'000);
  EXPECT_EQ(estimator.Over().unknown, Unknown::kTooFar);
  EXPECT_NEAR(estimator.Over().gap, 0.70, 0.03);
}

TEST(Estimator, DistancesThatShrinkAreJustAsUnlikeWhatWasHeldOut) {
  World near(kSeed, 10.0);
  Estimator estimator = Make({.held_out = Even(), .canary = kFairCanary});
  near.Show(estimator, 500);
  EXPECT_EQ(estimator.Over().unknown, Unknown::kTooFar);
}

TEST(Estimator, ForgetsWhatLeftTheWindow) {
  World far(kSeed, 0.1);
  World as_usual(kSeed);
  Estimator estimator = Make({.held_out = Even(), .canary = kFairCanary});
  far.Show(estimator, 500);
  EXPECT_FALSE(estimator.Over().known());
  as_usual.Show(estimator, 500);
  EXPECT_TRUE(estimator.Over().known());
  EXPECT_LT(estimator.Over().gap, 0.1);
}

// 300 labels say 0.72 where 0.78 was believed. Prior variance .03^2 = 9e-4, theirs .78 x .22 / 300
// = 5.72e-4: weight 9 / 14.72 = 0.611, so the estimate goes down by 0.611 x 0.06 = 0.0367.
TEST(Estimator, FollowsTheCanaryAsFarAsItsNumberBears) {
  const Estimator::Canary canary{.count = 300, .right = 216, .believed = 234.0};
  World world(kSeed);
  World again(kSeed);
  Estimator with = Make({.held_out = Even(), .canary = canary});
  Estimator without = Make({.held_out = Even()});
  world.Show(with, 500);
  again.Show(without, 500);
  EXPECT_NEAR(without.Over().mean - with.Over().mean, 0.0367, 1e-4);
  // And what it leaves is less than what was there before.
  EXPECT_LT(with.Over().high - with.Over().low, without.Over().high - without.Over().low);
  // So does what it lets expect.
  const auto drop = with.DropOver(500);
  ASSERT_TRUE(drop.has_value());
  EXPECT_NEAR(drop->mean + with.Over().mean, 0.78 - 0.0367, 1e-4);
  EXPECT_EQ(without.DropOver(500), std::nullopt);
}

TEST(Estimator, TellsWhatWasLost) {
  Estimator estimator = Make({.held_out = Even(), .canary = kFairCanary});  // Usual: 0.8.
  base::Random random(kSeed);
  for (int i = 0; i < 100; ++i) {
    estimator.Observe({.predicted = 0, .belief = 0.5, .distance = random.Uniform()});
  }
  const auto drop = estimator.DropOver(100);
  ASSERT_TRUE(drop.has_value());
  EXPECT_NEAR(drop->mean, 0.3, 1e-9);
  EXPECT_LT(drop->low, 0.3);
  EXPECT_GT(drop->low, 0.15);
  EXPECT_GT(drop->high, 0.3);
  EXPECT_EQ(estimator.DropOver(10), std::nullopt);
}

TEST(Estimator, IsLessSureWhereAChallengerSaysSomethingElse) {
  World world(kSeed);
  Estimator estimator = Make({.held_out = Even(), .canary = kFairCanary});
  world.Show(estimator, 500);
  const Estimate alone = estimator.Over();
  for (int i = 0; i < 100; ++i) estimator.Compare(i % 5 != 0);  // 20 % differ: 0.1 either way.
  const Estimate compared = estimator.Over();
  EXPECT_NEAR(alone.low - compared.low, 0.1, 0.01);
  EXPECT_EQ(alone.mean, compared.mean);
}

TEST(Estimator, RanksAClassHardlyHeldOutAmongAll) {
  std::vector<std::vector<float>> held_out = Even();
  held_out[1] = {0.5f, 0.6f};
  World world(kSeed);
  Estimator estimator = Make({.held_out = held_out, .canary = kFairCanary});
  world.Show(estimator, 500);
  EXPECT_TRUE(estimator.Over().known());
  EXPECT_LT(estimator.Over().gap, 0.1);
}

TEST(Estimator, WithoutHeldOutSamplesEverythingIsUnknown) {
  Estimator estimator = Make({});
  for (int i = 0; i < 1'000; ++i) estimator.Observe({.belief = 0.99, .distance = 0.1});
  EXPECT_EQ(estimator.Over().unknown, Unknown::kNothingHeldOut);
  EXPECT_FALSE(std::string(Name(Unknown::kNothingHeldOut)).empty());
}

TEST(Estimator, AllocatesNothingOnceMade) {
  World world(kSeed);
  Estimator estimator = Make({.held_out = Even(), .canary = kFairCanary});
  const std::uint64_t before = testing_support::Allocations();
  world.Show(estimator, 1'200);
  static_cast<void>(estimator.Over());
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

TEST(Estimator, RefusesOptionsThatContradict) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const Estimator::Options wrong[] = {
      {.classes = 0},
      {.window = 29},
      {.window = 65'537},
      {.held_out = {{0.1f}}},
      {.held_out = {{0.2f, 0.1f}, {}}},
      {.held_out = {{nan}, {}}},
      {.held_out = {}, .canary = {.count = 3, .right = 4}},
      {.held_out = {}, .canary = {.count = 3, .right = 2, .believed = 3.5}},
  };
  for (const Estimator::Options& options : wrong) {
    const auto made = Estimator::Create(options);
    ASSERT_FALSE(made.ok());
    EXPECT_EQ(made.error().code, base::ErrorCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace tinylcm::accuracy
