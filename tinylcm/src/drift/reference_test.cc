#include "tinylcm/drift/reference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numbers>
#include <optional>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tests/support/allocations.h"
#include "tinylcm/drift/detectors/cusum.h"
#include "tinylcm/drift/detectors/monte_carlo.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

constexpr Signal kDistance = Signal::kAnchorDistance;
using Ranks = std::array<float, kSignals>;

Reference Make(const Reference::Options& options) { return Reference::Create(options).value(); }

// The rank of one value of one class; it is taken in.
float Observe(Reference& reference, double value, std::uint16_t predicted = 0,
              Signal signal = kDistance, float phase = -1.0f) {
  Sample sample = OneSignal(0, predicted, signal, static_cast<float>(value));
  sample.phase = phase;
  Ranks u;
  reference.Rank(sample, u);
  reference.Take();
  return u[At(signal)];
}

// The same, not taken in.
float Look(Reference& reference, double value, std::uint16_t predicted = 0) {
  Ranks u;
  reference.Rank(OneSignal(0, predicted, kDistance, static_cast<float>(value)), u);
  return u[At(kDistance)];
}

TEST(Reference, SaysNothingWhileItLearns) {
  Reference reference = Make({.classes = 1, .commission = 10});
  base::Random random(1);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(reference.phase(), Reference::Phase::kLearning);
    EXPECT_TRUE(std::isnan(Observe(reference, random.Normal())));
  }
  EXPECT_EQ(reference.phase(), Reference::Phase::kWatching);
  EXPECT_FALSE(std::isnan(Observe(reference, random.Normal())));
}

TEST(Reference, MeasuresAClassAgainstItsOwnKindOnly) {
  Reference reference = Make({.classes = 2, .commission = 200});
  for (int i = 0; i < 200; ++i) {
    Observe(reference, (i % 2) * 1000 + i * 37 % 100, static_cast<std::uint16_t>(i % 2));
  }
  // 900 is above all of class 0 and below all of class 1; each has seen a hundred.
  EXPECT_GT(Look(reference, 900, 0), 100.0f / 101.0f);
  EXPECT_LT(Look(reference, 900, 1), 1.0f / 101.0f);
}

// The ranks that those who wait get are those they would get had they joined at once: with a
// hundred in the sketch, all of them posts, ten waiting above all are eleven gaps above.
TEST(Reference, MeasuresAgainstThoseWhoWaitAsWell) {
  Reference reference = Make({.classes = 1, .hold_back = 10, .commission = 15});
  for (int i = 0; i < 15; ++i) Observe(reference, i * 4 % 15);
  for (int i = 0; i < 5; ++i) Observe(reference, 100 + i);
  EXPECT_EQ(reference.live_samples(kDistance, 0), 20u);
  // Twenty values, 21 gaps: 102.5 lies above 15 and three.
  const float u = Look(reference, 102.5);
  EXPECT_GE(u, 18.0f / 21.0f);
  EXPECT_LE(u, 19.0f / 21.0f);
}

TEST(Reference, ForgetsThoseWhoWaitAfterAnAlarm) {
  Reference reference = Make({.classes = 1, .hold_back = 10, .commission = 15});
  for (int i = 0; i < 15; ++i) Observe(reference, i * 4 % 15);
  for (int i = 0; i < 5; ++i) Observe(reference, 100 + i);
  reference.Discard();
  EXPECT_EQ(reference.live_samples(kDistance, 0), 15u);
  EXPECT_GE(Look(reference, 50), 15.0f / 16.0f);  // The highest again.
}

TEST(Reference, TakesInWhoHasWaitedLongEnough) {
  Reference reference = Make({.classes = 1, .hold_back = 10, .commission = 15});
  for (int i = 0; i < 15 + 13; ++i) Observe(reference, i);
  reference.Discard();
  EXPECT_EQ(reference.live_samples(kDistance, 0), 18u);  // Fifteen and the first three.
}

// Uniform and independent with classes, a side room and all laws; small lives and a long one.
// Bounds: 1 in 10,000, as in rank_sketch_test.cc.
TEST(Reference, GivesUniformAndIndependentRanks) {
  const std::uint64_t seed = 9;
  SCOPED_TRACE(seed);
  for (int law = 0; law < 4; ++law) {
    base::Random random(seed);
    std::vector<double> bins(20, 0.0);
    double products = 0.0;
    double before = 0.5;
    double count = 0.0;
    for (int life = 0; life < 101; ++life) {
      Reference reference = Make({.classes = 3, .commission = 50, .seed = random.Next()});
      for (int i = 0; i < (life == 100 ? 100'000 : 600); ++i) {
        const auto predicted = static_cast<std::uint16_t>(random.Below(3));
        double value = random.Normal();
        if (law == 1) value = std::exp(value);
        if (law == 2) value = std::clamp(std::floor(value), -3.0, 2.0);
        if (law == 3) value = value > 1.0 ? 1.0 : 0.0;
        const float u = Observe(reference, value, predicted);
        if (std::isnan(u)) continue;
        bins[static_cast<std::size_t>(u * 20.0f)] += 1.0;
        products += 12.0 * (u - 0.5) * (before - 0.5);
        before = u;
        count += 1.0;
      }
    }
    double chi = 0.0;
    for (const double bin : bins) chi += std::pow(bin - count / 20.0, 2.0) / (count / 20.0);
    EXPECT_LT(chi, 50.8) << law;
    EXPECT_LT(std::abs(products / std::sqrt(count)), 3.9) << law;
  }
}

// Values of a device that has nothing to report, as a rank's normal score feeds a CUSUM. How many
// until it alarms, as a share of what its limit was solved for?
struct Quiet {
  std::uint32_t classes = 1;
  std::uint32_t commission = 300;
  double correlation = 0.0;
  bool blocks = false;  // 200 samples of two classes, then of two others.
  int law = 0;          // 0 normal, 1 log-normal, 2 Student 3, 3 six levels.
  double every = 1000.0;
  double wave = 0.0;  // Sigma that day and night make.
  int day = 2000;     // Samples.
  bool has_cycle = false;
};

RunLengthEstimate RunLengthOf(const Quiet& quiet, std::uint64_t seed, std::uint64_t devices) {
  std::uint64_t device = 0;
  return EstimateRunLength({.seed = seed, .runs = devices}, [&] {
    Reference reference = Make({.classes = quiet.classes,
                                .commission = quiet.commission,
                                .has_cycle = quiet.has_cycle,
                                .seed = ++device});
    Cusum cusum = Cusum::Create({.run_length = quiet.every}).value();
    std::array<std::uint64_t, 2> pair{};
    double level = 0.0;
    std::uint64_t at = 0;
    return [=](base::Random& random) mutable {
      for (;;) {
        if (at % 200 == 0) {
          pair[0] = random.Below(quiet.classes);
          pair[1] = (pair[0] + 1 + random.Below(quiet.classes)) % quiet.classes;
        }
        const auto predicted = static_cast<std::uint16_t>(
            quiet.blocks ? pair[random.Below(2)] : random.Below(quiet.classes));
        const double rho = at == 0 ? 0.0 : quiet.correlation;
        level = rho * level + std::sqrt(1.0 - rho * rho) * random.Normal();
        double value = level + 0.7 * predicted;
        if (quiet.law == 1) value = std::exp(value);
        if (quiet.law == 2) {
          double squares = 0.0;
          for (int i = 0; i < 3; ++i) squares += std::pow(random.Normal(), 2.0);
          value /= std::sqrt(squares / 3.0);
        }
        if (quiet.law == 3) value = std::clamp(std::floor(1.2 * value), -3.0, 2.0);
        const double phase = static_cast<double>(at % static_cast<std::uint64_t>(quiet.day)) /
                             static_cast<double>(quiet.day);
        value += quiet.wave * std::sin(2.0 * std::numbers::pi * phase);
        ++at;
        const float u = Observe(reference, value, predicted, kDistance, static_cast<float>(phase));
        if (std::isnan(u)) continue;
        return cusum.Observe(NormalQuantile(u)) == DriftSignal::kDrift;
      }
    };
  });
}

// Whatever the law and however few commissioning had. +-15 %: three standard errors of 500 waits,
// and the full grid within 10 % is bench/drift's (C1).
TEST(Reference, KeepsTheRunLengthOfIndependentValues) {
  for (int law = 0; law < 4; ++law) {
    for (const std::uint32_t commission : {100u, 1000u}) {
      const RunLengthEstimate is = RunLengthOf({.commission = commission, .law = law}, 100, 500);
      EXPECT_NEAR(is.mean / 1000.0, 1.0, 0.15) << "law " << law << " of " << commission;
    }
  }
}

// Classes at different levels, two at a time in spells (C2).
TEST(Reference, KeepsTheRunLengthWhenClassesComeInSpells) {
  const RunLengthEstimate is = RunLengthOf({.classes = 10, .blocks = true, .law = 1}, 200, 400);
  EXPECT_GT(is.mean, 800.0);
  EXPECT_LT(is.mean, 1300.0);
}

// Values that hang on the one before (C3): without whitening the run length at 0.9 is a 300th.
TEST(Reference, KeepsTheRunLengthOfValuesThatHangTogether) {
  for (const double correlation : {0.5, 0.9}) {
    const RunLengthEstimate is = RunLengthOf({.correlation = correlation}, 300, 300);
    EXPECT_GT(is.mean, 500.0) << correlation;
    EXPECT_LT(is.mean, 2000.0) << correlation;
  }
}

// A day of 2,000 samples moves the signal up and down by two standard deviations. Commissioned on a
// morning, without a cycle, the first night is an alarm; with one, false alarms come as asked.
TEST(Reference, TakesDayAndNightForWhatTheyAre) {
  const RunLengthEstimate without = RunLengthOf({.wave = 2.0}, 400, 100);
  EXPECT_LT(without.mean, 500.0);
  const RunLengthEstimate with = RunLengthOf({.wave = 2.0, .has_cycle = true}, 400, 200);
  EXPECT_GT(with.mean, 500.0);
  EXPECT_LT(with.mean, 2000.0);
}

TEST(Reference, LearnsForAFullTurnOfACycle) {
  Reference reference = Make({.classes = 1, .commission = 100, .has_cycle = true});
  base::Random random(1);
  int samples = 0;
  while (reference.phase() == Reference::Phase::kLearning) {
    const float phase = static_cast<float>(samples % 1000) / 1000.0f;
    Observe(reference, random.Normal(), 0, kDistance, phase);
    ++samples;
  }
  // A hundred for the classes, a turn of a thousand, a hundred for the ranks.
  EXPECT_NEAR(samples, 1200, 2);
}

TEST(Reference, GivesNoRankWithoutThePhaseOfAConfiguredCycle) {
  Reference reference = Make({.classes = 1, .commission = 20, .has_cycle = true});
  for (int i = 0; i < 200; ++i) {
    Observe(reference, i % 5, 0, kDistance, static_cast<float>(i % 50) / 50.0f);
  }
  ASSERT_EQ(reference.phase(), Reference::Phase::kWatching);
  EXPECT_TRUE(std::isnan(Observe(reference, 1.0)));
}

std::vector<float> Ascending(double first, double last, int count) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) {
    values.push_back(static_cast<float>(first + (last - first) * i / (count - 1)));
  }
  return values;
}

// Classes 0 and 2 take turns: 0 2 4 ... 98 fall to class 0, odd ones to class 2.
void FeedTwoClasses(Reference& reference) {
  for (int i = 0; i < 100; ++i) {
    Observe(reference, i * 37 % 100, static_cast<std::uint16_t>(i % 2 * 2));
  }
}

// Nobody of class 1 was seen, of class 0 enough, and there field and factory agree: so class 1 is
// filled up with twenty of its 200 held-out values, 1 to 200: 6, 16 ... 196.
TEST(Reference, FillsARareClassUpFromTheFactory) {
  HeldOut held_out;
  held_out[At(kDistance)] = {Ascending(0, 99, 100), Ascending(1, 200, 200)};
  Reference with = Make({.classes = 3, .commission = 100, .held_out = held_out});
  FeedTwoClasses(with);
  EXPECT_GE(Look(with, 1000, 1), 20.0f / 21.0f);
  EXPECT_GE(Look(with, 101, 1), 10.0f / 21.0f);
  EXPECT_LE(Look(with, 101, 1), 11.0f / 21.0f);
  // Twenty of its own later the factory's are out of the game.
  for (int i = 0; i < 20; ++i) Observe(with, 500 + i, 1);
  EXPECT_LE(Look(with, 201, 1), 1.0f / 21.0f);
}

// The field is not like the factory where both are known: then the factory is no help elsewhere.
TEST(Reference, DoesNotFillUpFromAFactoryThatIsNotLikeTheField) {
  HeldOut held_out;
  held_out[At(kDistance)] = {Ascending(1000, 1099, 100), Ascending(1, 200, 200)};
  Reference reference = Make({.classes = 3, .commission = 100, .held_out = held_out});
  FeedTwoClasses(reference);
  float lowest = 1.0f;
  for (int i = 0; i < 50; ++i) lowest = std::min(lowest, Look(reference, 1000, 1));
  EXPECT_LT(lowest, 0.5f);  // By lot.
}

// Labels in any order are watched at every sample; in spells of 200 of two classes there are hardly
// two independent looks in a commissioning, and they are not watched at all.
TEST(Reference, WatchesTheClassMixOnlyWhereLabelsAreNews) {
  base::Random random(6);
  const Reference::Options options{.classes = 10, .signals = Bit(Signal::kClassMix)};
  Reference any = Make(options);
  Reference spells = Make(options);
  Reference runs = Make({.classes = 10, .signals = Bit(Signal::kClassMix), .commission = 512});
  std::uint16_t label = 0;
  for (int i = 0; i < 512; ++i) {
    const auto lot = static_cast<std::uint16_t>(random.Below(10));
    if (i < 300) Observe(any, lot, lot, Signal::kClassMix);
    const auto in_spell =
        static_cast<std::uint16_t>(i / 100 * 2 + static_cast<int>(random.Below(2)));
    if (i < 300) Observe(spells, in_spell, in_spell, Signal::kClassMix);
    if (random.Below(3) == 0) label = static_cast<std::uint16_t>(random.Below(10));
    Observe(runs, label, label, Signal::kClassMix);
  }
  EXPECT_EQ(any.every(Signal::kClassMix), 1u);
  EXPECT_FALSE(any.in_spells());
  EXPECT_EQ(spells.every(Signal::kClassMix), 0u);
  EXPECT_TRUE(spells.in_spells());
  // A label stays with odds of 2 in 3: agreement at distance d is (2/3)^d, which adds up to 2, so
  // the time is 1 + 2 * 2 = 5 and every 10th is looked at, give or take what 512 samples say.
  EXPECT_GE(runs.every(Signal::kClassMix), 6u);
  EXPECT_LE(runs.every(Signal::kClassMix), 16u);
}

// Three standard deviations in 50,000 samples: the signal rises by 6e-5 a sample. The sum of the
// factory watch (allowance 0.25) begins to grow when the rise is 0.25 plus the offset's error, at
// most 0.23: by sample 8,000; half the slope times the square of what follows reaches a limit of
// about 35 within 1,100 more.
TEST(Reference, FindsASlowRiseThatTheLiveReferenceWouldLearn) {
  HeldOut held_out;
  held_out[At(kDistance)] = {};
  std::vector<float> normal;
  for (int i = 0; i < 64; ++i) normal.push_back(static_cast<float>(NormalQuantile((i + 0.5) / 64)));
  held_out[At(kDistance)].push_back(normal);
  const std::uint64_t seed = 8;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  Reference reference =
      Make({.classes = 1, .commission = 300, .held_out = held_out, .false_alarm_every = 1e6});
  ASSERT_TRUE(reference.watches_factory());
  for (int i = 0; i < 5300; ++i) Observe(reference, random.Normal());
  ASSERT_FALSE(reference.factory_level().alarm);
  int risen = 0;
  while (!reference.factory_level().alarm && risen < 50'000) {
    Observe(reference, random.Normal() + 3.0 * risen / 50'000.0);
    ++risen;
  }
  EXPECT_LT(risen, 9'100);
  EXPECT_TRUE(reference.factory_level().level.rose);
  EXPECT_EQ(reference.factory_level().signal, kDistance);
  // The live reference, meanwhile, has learned most of it: what came half a ramp ago counts as
  // usual.
  double late = 0.0;
  for (int i = 0; i < 1000; ++i) {
    late += Look(reference, random.Normal() + 3.0 * risen / 50'000.0) / 1000.0;
  }
  EXPECT_LT(NormalQuantile(late), 3.0 * risen / 50'000.0);
  reference.Discard();
  EXPECT_FALSE(reference.factory_level().alarm);
}

TEST(Reference, WatchesTheFactoryOnlyWithItsShareOfTheAlarms) {
  EXPECT_FALSE(Make({.false_alarm_every = 1e6}).watches_factory());  // Nothing held out.
  HeldOut held_out;
  held_out[At(kDistance)] = {Ascending(0, 1, 64)};
  EXPECT_FALSE(Make({.held_out = held_out}).watches_factory());
  EXPECT_TRUE(Make({.held_out = held_out, .false_alarm_every = 1e6}).watches_factory());
}

Reference::Options Everything(std::uint32_t classes) {
  HeldOut held_out;
  for (std::size_t signal = 0; signal < kSignals; ++signal) {
    held_out[signal].assign(classes, Ascending(-2, 2, 64));
  }
  return {.classes = classes,
          .signals = (SignalMask{1} << kSignals) - 1,
          .commission = 600,
          .seed = 3,
          .held_out = held_out,
          .false_alarm_every = 1e6};
}

Sample Anything(base::Random& random, std::uint32_t classes, std::array<double, kSignals>& levels) {
  Sample sample;
  sample.predicted = static_cast<std::uint16_t>(random.Below(classes));
  for (std::size_t signal = 0; signal < kSignals; ++signal) {
    levels[signal] = 0.1 * static_cast<double>(signal) * levels[signal] + random.Normal();
    if (random.Below(50) == 0) continue;  // Now and then a signal is not there.
    double value = levels[signal];
    if (IsCategory(static_cast<Signal>(signal))) value = static_cast<double>(random.Below(8));
    if (signal == At(Signal::kClassMix)) value = sample.predicted;
    sample.Set(static_cast<Signal>(signal), static_cast<float>(value));
  }
  return sample;
}

// Cut anywhere, the second half gives the same bits.
TEST(Reference, GoesOnFromAWrittenStateBitByBit) {
  for (const bool has_cycle : {false, true}) {
    for (const int cut : {0, 1, 299, 511, 512, 599, 600, 640, 700, 1500, 2200}) {
      Reference::Options options = Everything(3);
      options.has_cycle = has_cycle;
      Reference whole = Make(options);
      base::Random random(12);
      std::array<double, kSignals> levels{};
      Ranks u;
      Ranks restored_u;
      const auto next = [&](int i) {
        Sample sample = Anything(random, 3, levels);
        sample.phase = static_cast<float>(i % 400) / 400.0f;
        return sample;
      };
      for (int i = 0; i < cut; ++i) {
        whole.Rank(next(i), u);
        whole.Take();
        if (i == 1000) whole.Discard();
      }
      StateWriter writer;
      whole.Write(writer);
      const base::Bytes block = std::move(writer).Seal(1, 2);
      auto reader = StateReader::Open(block, 1, 2);
      Reference restored = Make(options);
      restored.Read(reader.value());
      ASSERT_TRUE(reader.value().AtEnd().ok())
          << cut << " " << reader.value().status().error().message;
      for (int i = cut; i < 2500; ++i) {
        const Sample sample = next(i);
        whole.Rank(sample, u);
        restored.Rank(sample, restored_u);
        for (std::size_t signal = 0; signal < kSignals; ++signal) {
          ASSERT_TRUE(u[signal] == restored_u[signal] ||
                      (std::isnan(u[signal]) && std::isnan(restored_u[signal])))
              << "cut " << cut << " at " << i << (has_cycle ? " with a cycle " : " ")
              << Name(static_cast<Signal>(signal));
        }
        whole.Take();
        restored.Take();
        ASSERT_EQ(whole.factory_level().level.statistic, restored.factory_level().level.statistic);
        if (i == 1000) {
          whole.Discard();
          restored.Discard();
        }
      }
    }
  }
}

// Ten classes and all signals, when most is written: while gathering, and with full sketches.
TEST(Reference, WritesAtMost36KiBForTenClasses) {
  Reference reference = Make(Everything(10));
  base::Random random(13);
  std::array<double, kSignals> levels{};
  Ranks u;
  std::size_t most = 0;
  for (int i = 0; i < 60'000; ++i) {
    reference.Rank(Anything(random, 10, levels), u);
    reference.Take();
    if (i != 510 && i != 59'999) continue;
    StateWriter writer;
    reference.Write(writer);
    most = std::max(most, std::move(writer).Seal(1, 2).size());
  }
  RecordProperty("bytes", static_cast<int>(most));
  EXPECT_LE(most, 36u * 1024u);
}

TEST(Reference, RefusesAStateItCouldNotHaveLeftBehind) {
  Reference reference = Make({.classes = 2, .hold_back = 4, .commission = 20});
  for (int i = 0; i < 100; ++i) Observe(reference, i * 37 % 100, static_cast<std::uint16_t>(i % 2));
  StateWriter writer;
  reference.Write(writer);
  const base::Bytes good = std::move(writer).Seal(1, 2);
  // Each byte of the parts turned over, sealed again: read or refused, but never a crash, and what
  // is read can be gone on with.
  const std::size_t header = 28;
  int refused = 0;
  for (std::size_t at = header; at + 4 < good.size(); ++at) {
    StateWriter torn;
    base::Bytes parts(good.begin() + header, good.end() - 4);
    parts[at - header] ^= 0xffu;
    torn.PutSpan(parts);
    const base::Bytes block = std::move(torn).Seal(1, 2);
    auto reader = StateReader::Open(block, 1, 2);
    Reference spare = Make({.classes = 2, .hold_back = 4, .commission = 20});
    spare.Read(reader.value());
    if (!reader.value().AtEnd().ok()) {
      ++refused;
      continue;
    }
    for (int i = 0; i < 50; ++i) Observe(spare, i, static_cast<std::uint16_t>(i % 2));
  }
  EXPECT_GT(refused, 0);
}

TEST(Reference, LearnsAnew) {
  Reference reference = Make({.classes = 1, .commission = 50});
  for (int i = 0; i < 200; ++i) Observe(reference, i % 10);
  reference.Reset();
  EXPECT_EQ(reference.phase(), Reference::Phase::kLearning);
  EXPECT_EQ(reference.learned(), 0u);
  for (int i = 0; i < 50; ++i) Observe(reference, 100 + i % 10);
  EXPECT_GE(Look(reference, 1000), 50.0f / 51.0f);
  EXPECT_EQ(reference.live_samples(kDistance, 0), 50u);
}

TEST(Reference, KnowsWhatWasUsual) {
  Reference reference = Make({.classes = 2, .commission = 20});
  // 1 to 10 twice: mean 5.5, sum of squares 2 * 82.5, sd sqrt(165 / 19).
  for (int i = 0; i < 20; ++i) Observe(reference, 1 + i % 10, 0);
  EXPECT_NEAR(reference.moments(kDistance, 0).mean, 5.5f, 1e-5);
  EXPECT_NEAR(reference.moments(kDistance, 0).sd, std::sqrt(165.0 / 19.0), 1e-5);
  EXPECT_EQ(reference.moments(kDistance, 0).samples, 20u);
  // Of a class nobody saw: that of all.
  EXPECT_NEAR(reference.moments(kDistance, 1).mean, 5.5f, 1e-5);
  EXPECT_EQ(reference.moments(kDistance, 1).samples, 0u);
}

TEST(Reference, RefusesOptionsThatCannotWork) {
  EXPECT_FALSE(Reference::Create({.classes = 0}).ok());
  EXPECT_FALSE(Reference::Create({.signals = 0}).ok());
  EXPECT_FALSE(Reference::Create({.signals = SignalMask{1} << kSignals}).ok());
  EXPECT_FALSE(Reference::Create({.hold_back = 5000}).ok());
  EXPECT_FALSE(Reference::Create({.commission = 0}).ok());
  EXPECT_FALSE(Reference::Create({.live_min = 24}).ok());
  EXPECT_FALSE(Reference::Create({.false_alarm_every = 3.0}).ok());
  HeldOut held_out;
  held_out[0] = {{2.0f, 1.0f}};
  EXPECT_FALSE(Reference::Create({.held_out = held_out}).ok());
  held_out[0] = {{std::numeric_limits<float>::infinity()}};
  EXPECT_FALSE(Reference::Create({.held_out = held_out}).ok());
  held_out[0] = {{1.0f}, {1.0f}, {1.0f}};
  EXPECT_FALSE(Reference::Create({.classes = 2, .held_out = held_out}).ok());
}

TEST(Reference, AllocatesNothingOnceMade) {
  Reference reference = Make(Everything(3));
  base::Random random(14);
  std::array<double, kSignals> levels{};
  Ranks u;
  const std::uint64_t before = testing_support::Allocations();
  for (int i = 0; i < 3000; ++i) {
    reference.Rank(Anything(random, 3, levels), u);
    reference.Take();
  }
  reference.Discard();
  reference.Interrupt();
  reference.Reset();
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

}  // namespace
}  // namespace tinylcm::drift
