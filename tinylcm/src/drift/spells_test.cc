#include "tinylcm/drift/spells.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "base/random.h"

namespace tinylcm::drift {
namespace {

// Scores of two classes in spells of 200 samples, each spell at a level of its own for each class.
struct Belt {
  double variance = 0.0;  // Of the levels.
  base::Random random{1};
  double levels[2] = {0.0, 0.0};
  std::uint32_t at = 0;
  std::uint16_t predicted = 0;

  double Next() {
    if (at++ % 200 == 0) {
      for (double& level : levels) level = std::sqrt(variance) * random.Normal();
    }
    predicted = static_cast<std::uint16_t>(random.Below(2));
    return levels[predicted] + std::sqrt(1.0 - variance) * random.Normal();
  }
};

// How far sums over 200 samples spread, as a share of what independent scores' would.
double SpreadOfSums(Belt belt, bool removes, int samples) {
  Spells spells(2);
  double sum = 0.0;
  double squares = 0.0;
  for (int i = 0; i < samples; ++i) {
    const double score = belt.Next();
    const double news = spells.Remove(belt.predicted, belt.at, score);
    spells.Learn();
    sum += removes ? news : score;
    if (i % 200 == 199) {
      squares += sum * sum / 200.0;
      sum = 0.0;
    }
  }
  return squares / (samples / 200.0);
}

// Levels of variance 0.1 of two classes that share the 200: sums spread by 0.9 + 0.1 * 100 = 10.9
// times. Removed, the most part is gone.
TEST(Spells, TakesOffWhatASpellDoes) {
  EXPECT_NEAR(SpreadOfSums({.variance = 0.1}, false, 400'000), 10.9, 1.0);
  EXPECT_LT(SpreadOfSums({.variance = 0.1}, true, 400'000), 2.5);
}

// The levels are 500 draws: a standard error of 0.1 * sqrt(2 / 500) = 0.006. Where spells do
// nothing, next to nothing is left of the prior.
TEST(Spells, LearnsHowMuchSpellsDiffer) {
  for (const double variance : {0.0, 0.1}) {
    Belt belt{.variance = variance};
    Spells spells(2);
    EXPECT_NEAR(spells.variance(), 0.1, 1e-6);  // The prior.
    for (int i = 0; i < 50'000; ++i) {
      const double score = belt.Next();  // Which says the class and when.
      spells.Remove(belt.predicted, belt.at, score);
      spells.Learn();
    }
    EXPECT_NEAR(spells.variance(), variance, variance == 0.0 ? 0.004 : 0.03);
  }
}

// Every value less 0.15 of the one before, so that neighbours hang together by -0.15 where spells
// do 0.1: their product alone would say -0.05.
TEST(Spells, IsNotMisledByWhatWasTakenOffTheNextValue) {
  Belt belt{.variance = 0.1};
  Spells spells(2);
  double last = 0.0;
  for (int i = 0; i < 50'000; ++i) {
    const double now = belt.Next();
    spells.Remove(belt.predicted, belt.at, now - 0.15 * last);
    spells.Learn();
    last = now;
  }
  EXPECT_GT(spells.variance(), 0.06);
}

// Of every 25 samples one is taken for a class that is not there, and scores 1 more.
TEST(Spells, KnowsWhatStrangersAreLike) {
  base::Random random(3);
  Spells spells(3);
  EXPECT_EQ(spells.strangers_mean(), 0.5);
  double last_ones = 0.0;
  for (std::uint32_t i = 0; i < 50'000; ++i) {
    const bool is_stranger = i % 25 == 24;
    const auto predicted = static_cast<std::uint16_t>(is_stranger ? 2 : i % 2);
    const double news = spells.Remove(predicted, i, random.Normal() + (is_stranger ? 1.0 : 0.0));
    spells.Learn();
    if (is_stranger && i >= 25'000) last_ones += news / 1000.0;
  }
  EXPECT_NEAR(spells.strangers_mean(), 1.0, 0.1);
  EXPECT_NEAR(last_ones, 0.0, 0.15);
}

TEST(Spells, ContinuesBitForBitFromWhatItWrote) {
  Belt belt{.variance = 0.1};
  Spells spells(2);
  for (int i = 0; i < 1000; ++i) {
    const double score = belt.Next();  // Which says the class and when.
    spells.Remove(belt.predicted, belt.at, score);
    spells.Learn();
  }
  StateWriter writer;
  spells.Write(writer);
  const base::Bytes block = std::move(writer).Seal(1, 1);
  Spells restored(2);
  StateReader reader = StateReader::Open(block, 1, 1).value();
  restored.Read(reader);
  ASSERT_TRUE(reader.ok());
  for (int i = 0; i < 1000; ++i) {
    const double score = belt.Next();
    ASSERT_EQ(restored.Remove(belt.predicted, belt.at, score),
              spells.Remove(belt.predicted, belt.at, score));
    restored.Learn();
    spells.Learn();
  }
}

// A jump by two is seen at once: the first ten samples of it show most of it, before the level
// follows.
TEST(Spells, LetsAJumpThroughBeforeTheLevelFollows) {
  Belt belt{.variance = 0.05};
  Spells spells(2);
  for (int i = 0; i < 5000; ++i) {
    const double score = belt.Next();
    spells.Remove(belt.predicted, belt.at, score);
    spells.Learn();
  }
  double first = 0.0;
  for (int i = 0; i < 10; ++i) {
    const double score = belt.Next();
    first += spells.Remove(belt.predicted, belt.at, score + 2.0) / 10.0;
  }
  EXPECT_GT(first, 1.0);
}

// Forty scores of 5, cut at 3, would make nearly every product of theirs 9.
TEST(Spells, LearnsNothingFromWhatIsDiscarded) {
  Belt belt{.variance = 0.2};
  Spells spells(2);
  const auto feed = [&](int samples, double shift) {
    for (int i = 0; i < samples; ++i) {
      const double score = belt.Next();
      spells.Remove(belt.predicted, belt.at, score + shift);
      spells.Learn();
    }
  };
  feed(2000, 0.0);
  const double before = spells.variance();
  feed(40, 5.0);
  spells.Discard();
  feed(300, 0.0);
  EXPECT_NEAR(spells.variance(), before, 0.05);
}

}  // namespace
}  // namespace tinylcm::drift
