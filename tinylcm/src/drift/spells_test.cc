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

// Where spells do nothing it says so, and leaves every score as it is; where they do, it finds how
// much: a standard error of 50,000 products is 0.0045, and the levels themselves are 500 draws.
TEST(Spells, LearnsHowMuchSpellsDiffer) {
  for (const double variance : {0.0, 0.1}) {
    Belt belt{.variance = variance};
    Spells spells(2);
    for (int i = 0; i < 50'000; ++i) {
      const double score = belt.Next();
      const double news = spells.Remove(belt.predicted, belt.at, score);
      if (variance == 0.0) {
        ASSERT_EQ(news, score) << i;
      }
      spells.Learn();
    }
    EXPECT_NEAR(spells.variance(), variance, variance == 0.0 ? 0.0 : 0.03);
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

// Forty scores of 5 would add 40 * 25 / 2000 = 0.5 to the mean product.
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
