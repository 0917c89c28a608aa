#include "tinylcm/adapt/gate.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/random.h"

namespace tinylcm::adapt {
namespace {

ProbationSample Pair(float champion, float challenger, float sure_before, float sure_after,
                     std::uint16_t label_before = 1, std::uint16_t label_after = 2) {
  return {.champion_distance = champion,
          .champion_confidence = sure_before,
          .challenger_distance = challenger,
          .challenger_confidence = sure_after,
          .champion_label = label_before,
          .challenger_label = label_after};
}

TEST(PairedLoss, CountsWhereDistanceAndConfidenceSayTheSame) {
  struct Case {
    ProbationSample sample;
    double loss;
  };
  const Case cases[] = {
      {Pair(0.2f, 0.5f, 0.75f, 0.25f), 0.5},          // Farther and less sure.
      {Pair(0.5f, 0.2f, 0.25f, 0.75f), -0.5},         // Nearer and surer.
      {Pair(0.2f, 0.5f, 0.25f, 0.75f), 0.0},          // Farther, but surer: a memory may be.
      {Pair(0.5f, 0.2f, 0.75f, 0.25f), 0.0},          // Nearer, but less sure.
      {Pair(0.2f, 0.5f, 0.75f, 0.25f, 1, 1), 0.125},  // The same answer: a quarter.
      // No distance moved: only where the answer changed, by what the old one was worth, 2 p - 1.
      {Pair(0.5f, 0.5f, 0.75f, 1.0f), 0.5},
      {Pair(0.5f, 0.5f, 0.25f, 1.0f), -0.5},
      {Pair(0.5f, 0.5f, 0.75f, 0.25f, 1, 1), 0.0},
  };
  for (const Case& one : cases) EXPECT_DOUBLE_EQ(PairedLoss(one.sample), one.loss);
  EXPECT_EQ(PairedLoss(Pair(NAN, 0.5f, 0.75f, 0.25f)), 0.0);
}

TEST(EndHolds, NotWhereABetThatItIsWorseHasWonFiveTimesItsStake) {
  // A memory that contradicts answers of chance .75 loses .5 each time. 1.05^n, 1.1^n, 1.2^n and
  // 1.4^n have a mean of 5 between the eighth (1.48 + 2.14 + 4.30 + 14.8) / 4 = 5.7 and the
  // seventh (1.41 + 1.95 + 3.58 + 10.5) / 4 = 4.4 sample.
  Trial trial;
  for (int i = 0; i < 7; ++i) trial.Add(Pair(0.5f, 0.5f, 0.75f, 1.0f));
  EXPECT_TRUE(EndHolds(trial, {}).passed);
  trial.Add(Pair(0.5f, 0.5f, 0.75f, 1.0f));
  EXPECT_FALSE(EndHolds(trial, {}).passed);
}

TEST(Bets, WinByMultiplyingWhatTheyStake) {
  Bets bets;
  bets.Play(0.5);
  // (1.05 + 1.1 + 1.2 + 1.4) / 4.
  EXPECT_DOUBLE_EQ(bets.Wealth(), 1.1875);
  bets.Play(-1.0);
  // (1.05 * .9 + 1.1 * .8 + 1.2 * .6 + 1.4 * .2) / 4 = (.945 + .88 + .72 + .28) / 4.
  EXPECT_DOUBLE_EQ(bets.Wealth(), 0.70625);
}

TEST(Bets, StayNumbersHoweverLongTheyWin) {
  Bets bets;
  for (int i = 0; i < 100'000; ++i) bets.Play(1.0);
  EXPECT_TRUE(std::isfinite(bets.Wealth()));
}

// Whoever looks after every sample and undoes what is no worse does so once in a hundred trials at
// most (Ville's inequality), whatever the losses look like.
TEST(Bets, SeldomWinOnWhatIsNotSo) {
  constexpr std::uint64_t kSeed = 11;
  SCOPED_TRACE(kSeed);
  base::Random random(kSeed);
  constexpr int kTrials = 4000;
  for (const double rare : {1.0, 0.1}) {  // Every sample differs a little; one in ten a lot.
    int undone = 0;
    for (int trial = 0; trial < kTrials; ++trial) {
      Bets worse;
      for (int i = 0; i < 200 && worse.Wealth() < 100.0; ++i) {
        const bool differs = random.Uniform() < rare;
        const double size = rare < 1.0 ? 1.0 : 0.4;
        if (differs) worse.Play(random.Uniform() < 0.5 ? size : -size);
      }
      undone += worse.Wealth() >= 100.0 ? 1 : 0;
    }
    // Three standard deviations above the bound: 40 + 3 * sqrt(40) = 59.
    EXPECT_LE(undone, 59) << "of " << kTrials << ", seed " << kSeed;
  }
}

TEST(EffectiveClasses, AreAsManyAsWouldBeAsMixed) {
  EXPECT_EQ(EffectiveClasses({}), 0.0);
  EXPECT_DOUBLE_EQ(EffectiveClasses({0, 12, 0}), 1.0);
  EXPECT_NEAR(EffectiveClasses({5, 5, 5, 5}), 4.0, 1e-12);
  EXPECT_LT(EffectiveClasses({97, 1, 1, 1}), 1.25);
}

TEST(Gates, SayWhyInWords) {
  const Gate unknown = AccuracyHolds({}, 0.5);
  EXPECT_FALSE(unknown.passed);
  EXPECT_EQ(unknown.reason, "how many answers are right is unknown; surely 50 % is asked");
  EXPECT_FALSE(
      AccuracyHolds({.is_known = true, .mean = 0.6, .low = 0.49, .high = 0.7}, 0.5).passed);
  EXPECT_TRUE(AccuracyHolds({.is_known = true, .mean = 0.6, .low = 0.5, .high = 0.7}, 0.5).passed);

  // 80 % at least are right, were all of them of a known kind. Where 31 % are not, only 49 are
  // sure.
  AccuracyClaim claim{.is_known = true, .mean = 0.85, .low = 0.8, .high = 0.9, .gap = 0.25};
  EXPECT_TRUE(AccuracyHolds(claim, 0.5).passed);
  claim.gap = 0.31;
  EXPECT_FALSE(AccuracyHolds(claim, 0.5).passed);
  EXPECT_EQ(
      AccuracyHolds(claim, 0.5).reason,
      "about 85 % of the answers are right, at least 80 %, if one may judge by inputs of which "
      "31 % are of a new kind; surely 50 % is asked");

  EXPECT_EQ(CanaryHolds({.before = 0.98, .after = 0.9}, {}).reason,
            "canary accuracy 0.9, 0.98 before");

  EXPECT_TRUE(EvidenceHolds(std::nullopt, 1e6).passed);
  EXPECT_TRUE(EvidenceHolds(6.2, 1e6).passed);
  EXPECT_FALSE(EvidenceHolds(4.0, 1e6).passed);

  JudgeFigures figures;
  figures.labels = 24;
  figures.correct = 20;
  figures.correct_before = 9;
  EXPECT_TRUE(LabelsAgree(figures).passed);
  figures.is_trusted = false;
  EXPECT_EQ(LabelsAgree(figures).reason, "the labels contradict one another");
}

TEST(CanaryHolds, VetoesWhatIsMoreThanChanceAndNotOutweighed) {
  const auto loses = [](int samples, double gain) {
    return !CanaryHolds({.before = 90.0 / 90,
                         .after = (90.0 - samples) / 90,
                         .count = 90,
                         .labels_gain = gain},
                        {})
                .passed;
  };
  // n lost of 90 is chance up to 2 sqrt(n) / 90: 2 <= 2.8, 4 <= 4, 5 > 4.5.
  EXPECT_FALSE(loses(2, 0.0));
  EXPECT_FALSE(loses(4, 0.0));
  EXPECT_TRUE(loses(5, 0.0));
  // 5 of 90 are .056, and three times that is .167.
  EXPECT_FALSE(loses(5, 0.17));
  EXPECT_TRUE(loses(5, 0.16));
  // A tenth is never outweighed.
  EXPECT_TRUE(loses(10, 1.0));
  // Of how many is not known: the loss is taken as it is.
  EXPECT_TRUE(CanaryHolds({.before = 0.98, .after = 0.971}, {}).passed);
  EXPECT_FALSE(CanaryHolds({.before = 0.98, .after = 0.96}, {}).passed);
}

TEST(ClassesHold, FindsACollapseOnlyWhereNothingLiesNearer) {
  const TrialRule rule;
  for (const bool nearer : {false, true}) {
    Trial trial;
    for (std::uint16_t i = 0; i < 40; ++i) {
      trial.Add(Pair(0.5f, nearer ? 0.3f : 0.5f, 0.6f, 0.9f, i % 4, 0));
      if (trial.count < rule.looks_from) {
        EXPECT_TRUE(ClassesHold(trial, rule).passed) << "too early at " << trial.count;
      }
    }
    EXPECT_EQ(ClassesHold(trial, rule).passed, nearer);
  }
}

}  // namespace
}  // namespace tinylcm::adapt
