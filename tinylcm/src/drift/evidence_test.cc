#include "tinylcm/drift/evidence.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>

#include "base/random.h"
#include "tests/support/allocations.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

constexpr float kNone = std::numeric_limits<float>::quiet_NaN();
using Ranks = std::array<float, kSignals>;

Ranks None() {
  Ranks u;
  u.fill(kNone);
  return u;
}

float RankOf(double z) {
  return static_cast<float>(std::clamp(NormalProbability(z), 0x1p-24, 1.0 - 0x1p-24));
}

constexpr SignalMask kFour = Bit(Signal::kAnchorDistance) | Bit(Signal::kMargin) |
                             Bit(Signal::kEntropy) | Bit(Signal::kCentroidDistance);

Evidence Make(const Evidence::Options& options) { return Evidence::Create(options).value(); }

// Ranks of quiet signals.
Ranks Quiet(SignalMask signals, base::Random& random) {
  Ranks u = None();
  for (std::size_t signal = 0; signal < kSignals; ++signal) {
    if ((signals >> signal & 1u) != 0) u[signal] = RankOf(random.Normal());
  }
  return u;
}

// After 300 quiet samples the numbers of `who` rise by `shift` in class `only` (or all, < 0).
// Returns the samples from then to the alarm.
int Alarm(Evidence& evidence, std::uint32_t classes, SignalMask who, double shift, int only,
          base::Random& random) {
  for (int i = 0; i < 300; ++i) {
    evidence.Observe(static_cast<std::uint16_t>(random.Below(classes)), Quiet(kFour, random));
  }
  for (int delay = 1; delay < 100'000; ++delay) {
    const auto predicted = static_cast<std::uint16_t>(random.Below(classes));
    Ranks u = Quiet(kFour, random);
    for (std::size_t signal = 0; signal < kSignals; ++signal) {
      if ((who >> signal & 1u) == 0 || (only >= 0 && predicted != only)) continue;
      u[signal] = RankOf(random.Normal() + shift);
    }
    if (evidence.Observe(predicted, u).alarm) return delay;
  }
  return 100'000;
}

// The mean of W after one more sample: over each cell of the bets' grid, on which every payment is
// constant, weighted by its width; the same rank for all of `signals`, predicted 0 with probability
// `zero`, else 1.
double MeanOfNext(const Evidence& now, SignalMask signals, double zero) {
  double mean = 0.0;
  for (std::size_t cell = 0; cell < BetTable::kCells; ++cell) {
    const auto [near, far] = BetTable::Bounds(cell);
    const double middle = (near + far) / 2.0;
    const auto rank = static_cast<float>(cell < BetTable::kSide ? middle : 1.0 - middle);
    Ranks u = None();
    for (std::size_t signal = 0; signal < kSignals; ++signal) {
      if ((signals >> signal & 1u) != 0) u[signal] = rank;
    }
    for (const std::uint16_t predicted : {std::uint16_t{0}, std::uint16_t{1}}) {
      const double likely = predicted == 0 ? zero : 1.0 - zero;
      if (likely == 0.0) continue;
      Evidence next = now;
      mean += likely * (far - near) * next.Observe(predicted, u).statistic;
    }
  }
  return mean;
}

// The promise all rests on, exactly: whatever came before, whatever the signals have in common,
// whichever of them are there and however often each class comes, W grows by one a sample.
TEST(Evidence, GrowsByOneASampleOnAverageWhateverCameBefore) {
  const SignalMask everything = (SignalMask{1} << kSignals) - 1;
  struct Case {
    SignalMask watched;
    SignalMask there;
    std::uint32_t classes;
    double zero;
    bool in_spells = false;
  };
  for (const Case& c :
       {Case{Bit(Signal::kBrightness), Bit(Signal::kBrightness), 1, 1.0},
        Case{Bit(Signal::kAnchorDistance), Bit(Signal::kAnchorDistance), 2, 0.5},
        Case{kFour, kFour, 2, 0.9}, Case{kFour, Bit(Signal::kMargin), 2, 0.5},
        Case{everything, everything, 2, 0.3},
        Case{everything, everything & ~Bit(Signal::kClassMix), 2, 1.0},
        Case{Bit(Signal::kQuantTree) | Bit(Signal::kClassMix), Bit(Signal::kQuantTree), 2, 0.7}}) {
    Evidence evidence = Make({.classes = c.classes, .signals = c.watched});
    base::Random random(23);
    for (int past = 0; past < 60; ++past) {
      if (past % 20 == 0) {
        const double now = evidence.level().statistic;
        EXPECT_NEAR(MeanOfNext(evidence, c.there, c.zero), now + 1.0, 2e-6 * (now + 1.0))
            << "signals " << c.watched << " after " << past;
      }
      // A past that was not quiet at all.
      Ranks u = Quiet(c.watched, random);
      for (float& rank : u) rank = rank * rank;
      evidence.Observe(static_cast<std::uint16_t>(random.Below(c.classes)), u);
    }
  }
}

TEST(Evidence, AClassThatIsNotThereGathersNothing) {
  Evidence evidence = Make({.classes = 3, .signals = kFour});
  base::Random random(1);
  for (int i = 0; i < 500; ++i) evidence.Observe(i % 2 == 0 ? 0 : 2, Quiet(kFour, random));
  std::array<double, 3> shares{};
  evidence.ClassShares(shares);
  EXPECT_EQ(shares[1], 0.0);
  EXPECT_NEAR(shares[0] + shares[2], 1.0, 1e-12);
}

TEST(Evidence, InSpellsCountsAllSamplesTogetherAndStillKnowsWhichClassItIs) {
  base::Random random(1);
  Evidence evidence = Make({.classes = 3, .signals = kFour, .false_alarm_every = 1e4});
  evidence.SetInSpells(true);
  Alarm(evidence, 3, Bit(Signal::kMargin), 2.0, 1, random);
  EXPECT_EQ(evidence.shares().per_class, 0.0);
  std::array<double, 3> shares{};
  evidence.ClassShares(shares);
  EXPECT_GT(shares[1], 0.9);
}

TEST(Evidence, ASampleWithoutSignalsChangesNothing) {
  Evidence evidence = Make({.classes = 2, .signals = kFour});
  base::Random random(2);
  for (int i = 0; i < 50; ++i) evidence.Observe(1, Quiet(kFour, random));
  const double before = evidence.level().statistic;
  EXPECT_EQ(evidence.Observe(1, None()).statistic, before);
}

// Samples to the alarm, on average over `runs` fresh starts; signals share `common` of their
// variance.
double RunLength(const Evidence::Options& options, double common, int runs) {
  Evidence evidence = Make(options);
  base::Random random(41);
  std::uint64_t samples = 0;
  for (int run = 0; run < runs; ++run) {
    evidence.Reset();
    bool alarm = false;
    while (!alarm) {
      Ranks u = None();
      const double shared = random.Normal();
      for (std::size_t signal = 0; signal < kSignals; ++signal) {
        if ((options.signals >> signal & 1u) == 0) continue;
        u[signal] = RankOf(std::sqrt(common) * shared + std::sqrt(1.0 - common) * random.Normal());
      }
      alarm = evidence.Observe(static_cast<std::uint16_t>(random.Below(options.classes)), u).alarm;
      ++samples;
    }
  }
  return static_cast<double>(samples) / runs;
}

TEST(Evidence, OfOneSignalRunsAsLongAsAskedFor) {
  for (const std::uint32_t classes : {1u, 10u}) {
    for (const Signal signal : {Signal::kAnchorDistance, Signal::kBrightness, Signal::kQuantTree}) {
      for (const double every : {100.0, 1'000.0}) {
        const double run_length = RunLength(
            {.classes = classes, .signals = Bit(signal), .false_alarm_every = every}, 0.0, 1'500);
        // 1,500 alarms: +-5 % (95 %).
        EXPECT_NEAR(run_length / every, 1.0, 0.10)
            << Name(signal) << ", " << classes << " classes, every " << every;
      }
    }
  }
}

TEST(Evidence, OfSeveralSignalsRunsAtLeastAsLongAndNotMuchLonger) {
  for (const double common : {0.0, 0.8, 1.0}) {
    for (const std::uint32_t classes : {1u, 10u}) {
      const double run_length = RunLength(
          {.classes = classes, .signals = kFour, .false_alarm_every = 300.0}, common, 1'500);
      EXPECT_GE(run_length, 0.97 * 300.0) << common;  // 1,500 alarms: +-5 %.
      EXPECT_LE(run_length, 1.5 * 300.0) << common;
    }
  }
}

TEST(Evidence, NamesTheSignalThatChangedAndHow) {
  base::Random random(6);
  Evidence evidence = Make({.classes = 4, .signals = kFour, .false_alarm_every = 1e4});
  Alarm(evidence, 4, Bit(Signal::kMargin), -2.0, -1, random);
  const Evidence::Shares shares = evidence.shares();
  EXPECT_GT(shares.signals[At(Signal::kMargin)], 0.95);
  EXPECT_GT(shares.kinds[static_cast<std::size_t>(BetKind::kFall)] +
                shares.kinds[static_cast<std::size_t>(BetKind::kSomeFall)],
            0.9);
  EXPECT_GT(shares.fast, 0.5);
  EXPECT_NEAR(std::accumulate(shares.signals.begin(), shares.signals.end(), 0.0), 1.0, 1e-9);
  EXPECT_NEAR(std::accumulate(shares.kinds.begin(), shares.kinds.end(), 0.0), 1.0, 1e-9);
}

TEST(Evidence, NamesTheClassThatChanged) {
  base::Random random(8);
  int right = 0;
  double per_class = 0.0;
  for (int run = 0; run < 20; ++run) {
    Evidence evidence = Make({.classes = 10, .signals = kFour, .false_alarm_every = 1e4});
    Alarm(evidence, 10, Bit(Signal::kAnchorDistance), 2.0, 7, random);
    std::array<double, 10> shares{};
    evidence.ClassShares(shares);
    right += std::max_element(shares.begin(), shares.end()) == shares.begin() + 7;
    per_class += evidence.shares().per_class / 20.0;
  }
  EXPECT_GE(right, 19);
  EXPECT_GT(per_class, 0.5);  // On average: over all samples the change is a tenth as frequent.
}

TEST(Evidence, KnowsForHowLongTheLeadingBetHasWoundUp) {
  base::Random random(9);
  std::vector<double> errors;
  for (int run = 0; run < 50; ++run) {
    Evidence evidence = Make({.classes = 4, .signals = kFour, .false_alarm_every = 1e4});
    const int delay = Alarm(evidence, 4, kFour, 1.0, -1, random);
    errors.push_back(std::abs(static_cast<double>(evidence.wound_for()) - delay));
  }
  std::nth_element(errors.begin(), errors.begin() + 25, errors.end());
  EXPECT_LE(errors[25], 5.0);
}

TEST(Evidence, WarnsAtATenthOfTheLimitAndAlarmsUntilReset) {
  base::Random random(12);
  Evidence evidence = Make({.classes = 1, .signals = Bit(Signal::kRail)});
  Ranks u = None();
  u[At(Signal::kRail)] = RankOf(1.5);
  while (!evidence.level().warning) {
    EXPECT_LT(evidence.level().statistic, 0.1 * evidence.limit());
    evidence.Observe(0, u);
  }
  EXPECT_GE(evidence.level().statistic, 0.1 * evidence.limit());
  EXPECT_FALSE(evidence.level().alarm);
  while (!evidence.level().alarm) evidence.Observe(0, u);
  EXPECT_GE(evidence.level().statistic, evidence.limit());
  EXPECT_GE(evidence.log10_evidence(), 6.0);  // As large as the million asked for.
  EXPECT_LT(evidence.log10_evidence(), 8.0);
  // Quiet again: the alarm stands, the warning follows what there is now.
  for (int i = 0; i < 2'000; ++i) {
    EXPECT_TRUE(evidence.Observe(0, Quiet(Bit(Signal::kRail), random)).alarm);
  }
  EXPECT_FALSE(evidence.level().warning);
  evidence.Reset();
  EXPECT_FALSE(evidence.Observe(0, u).alarm);
}

// A category's rank says only how frequent what came was among those before: with ten classes in
// equal parts, class c has the ranks from c/10 to (c+1)/10.
TEST(Evidence, FindsACategoryThatBecameFrequentOrVanished) {
  base::Random random(14);
  const auto delay = [&](double part_of_third) {
    Evidence evidence =
        Make({.classes = 10, .signals = Bit(Signal::kClassMix), .false_alarm_every = 1e4});
    for (int i = 0;; ++i) {
      std::uint64_t kind = random.Below(10);
      if (i >= 300) {
        kind = random.Below(9);
        kind += kind >= 3;
        if (random.Uniform() < part_of_third) kind = 3;
      }
      Ranks u = None();
      u[At(Signal::kClassMix)] =
          static_cast<float>((static_cast<double>(kind) + random.Uniform()) / 10.0);
      if (evidence.Observe(static_cast<std::uint16_t>(kind), u).alarm) return i - 300;
    }
  };
  EXPECT_LT(delay(0.5), 100);
  EXPECT_GT(delay(0.5), 0);
  EXPECT_LT(delay(1.0), 40);
  EXPECT_LT(delay(0.0), 1'000);
}

TEST(Evidence, StandsStillBeyondEveryLimitSoThatSharesKeepTheirMeaning) {
  Evidence evidence = Make({.classes = 2, .signals = kFour});
  Ranks u;
  u.fill(0.5f);
  u[At(Signal::kMargin)] = 1.0f;
  for (int i = 0; i < 100'000; ++i) evidence.Observe(0, u);
  EXPECT_TRUE(std::isfinite(evidence.level().statistic));
  EXPECT_GT(evidence.shares().signals[At(Signal::kMargin)], 0.999);
  EXPECT_LE(evidence.log10_evidence(), 30.0);
}

TEST(Evidence, HasNothingToShareBeforeTheFirstSample) {
  const Evidence evidence = Make({.classes = 2, .signals = kFour});
  const Evidence::Shares shares = evidence.shares();
  for (const double share : shares.signals) EXPECT_EQ(share, 0.0);
  EXPECT_EQ(evidence.wound_for(), 0u);
  EXPECT_EQ(evidence.log10_evidence(), 0.0);
}

TEST(Evidence, IsAsNewAfterReset) {
  const Evidence::Options options = {.classes = 3, .signals = kFour | Bit(Signal::kQuantTree)};
  Evidence used = Make(options);
  base::Random random(15);
  for (int i = 0; i < 200; ++i) used.Observe(1, Quiet(options.signals, random));
  used.Reset();
  Evidence fresh = Make(options);
  for (int i = 0; i < 200; ++i) {
    const Ranks u = Quiet(options.signals, random);
    ASSERT_EQ(used.Observe(2, u).statistic, fresh.Observe(2, u).statistic);
  }
}

base::Bytes Save(const Evidence& evidence) {
  StateWriter writer;
  evidence.Write(writer);
  return std::move(writer).Seal(1, 7);
}

base::Status Load(const base::Bytes& block, Evidence& evidence) {
  auto reader = StateReader::Open(block, 1, 7);
  if (!reader.ok()) return reader.error();
  evidence.Read(*reader);
  return reader->AtEnd();
}

TEST(Evidence, GoesOnBitForBitFromASavedState) {
  const SignalMask everything = (SignalMask{1} << kSignals) - 1;
  const Evidence::Options options = {.classes = 5, .signals = everything};
  Evidence running = Make(options);
  running.SetInSpells(true);
  Evidence restored = Make(options);
  base::Random random(16);
  for (int i = 0; i < 400; ++i) {
    if (i == 100) running.SetInSpells(false);
    ASSERT_TRUE(Load(Save(running), restored).ok());
    const auto predicted = static_cast<std::uint16_t>(random.Below(5));
    const Ranks u = Quiet(everything, random);
    ASSERT_EQ(running.Observe(predicted, u).statistic, restored.Observe(predicted, u).statistic);
    ASSERT_EQ(running.wound_for(), restored.wound_for());
  }
  EXPECT_EQ(Save(running), Save(restored));
}

TEST(Evidence, TakesLittleRoom) {
  // 10 classes, all signals: the whole monitor has 64 KiB.
  const Evidence evidence = Make({.classes = 10, .signals = (SignalMask{1} << kSignals) - 1});
  EXPECT_LE(Save(evidence).size(), 13u * 1024u);
}

TEST(Evidence, RefusesAStateOfAnotherShape) {
  Evidence five = Make({.classes = 5, .signals = kFour});
  Evidence six = Make({.classes = 6, .signals = kFour});
  EXPECT_FALSE(Load(Save(five), six).ok());
  EXPECT_FALSE(Load(Save(six), five).ok());
  OptionsDigest of_five;
  OptionsDigest of_six;
  five.AddTo(of_five);
  six.AddTo(of_six);
  EXPECT_NE(of_five.value(), of_six.value());
}

TEST(Evidence, AllocatesNothingOnceMade) {
  const SignalMask everything = (SignalMask{1} << kSignals) - 1;
  Evidence evidence = Make({.classes = 5, .signals = everything});
  base::Random random(17);
  const std::uint64_t before = testing_support::Allocations();
  for (int i = 0; i < 1'000; ++i) {
    evidence.Observe(static_cast<std::uint16_t>(i % 5), Quiet(everything, random));
  }
  evidence.Reset();
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

TEST(Evidence, RefusesOptionsThatCannotGiveASignal) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const Evidence::Options wrong[] = {{.classes = 0},
                                     {.classes = 65'537},
                                     {.signals = 0},
                                     {.signals = SignalMask{1} << kSignals},
                                     {.false_alarm_every = 9.0},
                                     {.false_alarm_every = 1e13},
                                     {.false_alarm_every = nan}};
  for (const Evidence::Options& options : wrong) {
    const auto evidence = Evidence::Create(options);
    ASSERT_FALSE(evidence.ok());
    EXPECT_EQ(evidence.error().code, base::ErrorCode::kInvalidArgument);
  }
}

TEST(EvidenceDeathTest, StopsOnAClassThatIsNone) {
  Evidence evidence = Make({.classes = 2, .signals = kFour});
  EXPECT_DEATH(evidence.Observe(2, None()), "predicted < options_.classes");
}

// A signal looked at every fifth sample winds up for five samples a play.
TEST(Evidence, CountsSamplesNotPlaysOfASignalThatIsSeldomThere) {
  Evidence evidence = Make({.classes = 1, .signals = kFour, .false_alarm_every = 1e6});
  base::Random random(18);
  Ranks none;
  none.fill(std::numeric_limits<float>::quiet_NaN());
  int since = 0;
  for (int i = 0; i < 5000 && !evidence.level().alarm; ++i) {
    const bool is_drifted = i >= 2500;
    since += is_drifted;
    Ranks u = none;
    // Of four signals one is there at all.
    if (i % 5 == 0) {
      u[At(Signal::kMargin)] = static_cast<float>(is_drifted ? 0.95 : random.Uniform());
    }
    evidence.Observe(0, u);
  }
  ASSERT_TRUE(evidence.level().alarm);
  ASSERT_GT(since, 30);
  EXPECT_NEAR(static_cast<double>(evidence.wound_for()), since, 10.0);
}

}  // namespace
}  // namespace tinylcm::drift
