// What the drift monitor makes of numbers no field should give. Each test states its result.

#include <gtest/gtest.h>

#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <string_view>
#include <utility>
#include <vector>

#include "base/random.h"
#include "tinylcm/drift/drift_monitor.h"
#include "tinylcm/src/drift/drift_field_test.h"

namespace tinylcm::drift {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNaN = std::numeric_limits<float>::quiet_NaN();

// Result: the signal counts as not there and is counted; all others go on, and nothing of it is
// learned: a monitor that was never shown it is in the same state but for the count.
TEST(DriftMonitorBadInput, AValueThatIsNotFiniteIsCountedAndCountsAsNotThere) {
  const DriftMonitor::Options options{.classes = 10, .signals = kFieldSignals, .channels = 8};
  DriftMonitor shown = DriftMonitor::Create(options).value();
  DriftMonitor spared = DriftMonitor::Create(options).value();
  FieldStream stream(options.channels, 5);
  std::uint64_t bad = 0;
  for (int i = 0; i < 3000; ++i) {
    Sample sample = stream.Next();
    Sample without = sample;
    if (i % 7 == 3) {
      const Signal hit = i % 2 == 0 ? Signal::kMargin : Signal::kAnchorDistance;
      sample.values[At(hit)] = i % 3 == 0 ? kNaN : i % 3 == 1 ? kInfinity : -kInfinity;
      without.has &= ~Bit(hit);
      bad += 1;
    }
    ASSERT_EQ(shown.Observe(sample), spared.Observe(without)) << i;
    ASSERT_EQ(shown.statistic(), spared.statistic()) << i;
  }
  EXPECT_EQ(shown.not_finite(), bad);
  EXPECT_EQ(spared.not_finite(), 0u);
  EXPECT_GT(bad, 400u);
}

// Result: the row is not taken into the account of channels, and counted once; its signals are.
TEST(DriftMonitorBadInput, ARowOfChannelsThatIsNotFiniteIsLeftOutOfTheExplanation) {
  Field field;
  std::vector<float> row(8);
  for (int i = 0; i < 1000; ++i) {
    Sample sample = field.stream.Next();
    row.assign(sample.channels.begin(), sample.channels.end());
    if (i % 10 == 0) row[static_cast<std::size_t>(i / 10 % 8)] = i % 20 == 0 ? kNaN : kInfinity;
    sample.channels = row;
    EXPECT_NE(field.monitor.Observe(sample), DriftSignal::kDrift);
  }
  EXPECT_EQ(field.monitor.not_finite(), 100u);
  const std::uint64_t onset = field.stream.index;
  ASSERT_GT(field.UntilAlarm(100, 3.0, 2.0f), 0);
  while (!field.monitor.explanation_is_complete()) field.Next(3.0, 2.0f);
  const DriftExplanation found = field.monitor.explanation().value();
  EXPECT_EQ(found.channels.size(), 3u) << found.text;
  EXPECT_NEAR(static_cast<double>(found.change_index), static_cast<double>(onset), 5.0);
}

// Result: no alarm in 50,000 samples at one in 1,000,000: equal values are ranked by lot.
TEST(DriftMonitorBadInput, AConstantSignalNeverAlarms) {
  DriftMonitor monitor = DriftMonitor::Create({.classes = 2}).value();
  for (std::uint64_t i = 0; i < 50'000; ++i) {
    ASSERT_NE(monitor.Observe(
                  OneSignal(i, static_cast<std::uint16_t>(i % 2), Signal::kAnchorDistance, 0.25f)),
              DriftSignal::kDrift)
        << i;
  }
}

// Result: an alarm within 20 samples of the first other value, larger or smaller.
TEST(DriftMonitorBadInput, AConstantSignalThatMovesAlarms) {
  for (const float moved : {0.26f, 0.24f}) {
    DriftMonitor monitor = DriftMonitor::Create({.classes = 2}).value();
    std::uint64_t i = 0;
    for (; i < 2000; ++i) {
      monitor.Observe(
          OneSignal(i, static_cast<std::uint16_t>(i % 2), Signal::kAnchorDistance, 0.25f));
    }
    int noticed = 0;
    for (int n = 1; n <= 100 && noticed == 0; ++n, ++i) {
      const Sample sample =
          OneSignal(i, static_cast<std::uint16_t>(i % 2), Signal::kAnchorDistance, moved);
      if (monitor.Observe(sample) == DriftSignal::kDrift) noticed = n;
    }
    EXPECT_GT(noticed, 0) << moved;
    EXPECT_LE(noticed, 20) << moved;
  }
}

// Result: the false alarms asked for at most, and a change of the odds is found.
TEST(DriftMonitorBadInput, ASignalOfTwoValuesKeepsItsPromise) {
  const double every = 2000.0;
  int alarms = 0;
  int watched = 0;
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    DriftMonitor monitor =
        DriftMonitor::Create({.classes = 2, .false_alarm_every = every, .seed = seed}).value();
    base::Random random(100 + seed);
    for (std::uint64_t i = 0; i < 40'000; ++i) {
      const float value = random.Uniform() < 0.2 ? 1.0f : 0.0f;
      const DriftSignal said = monitor.Observe(
          OneSignal(i, static_cast<std::uint16_t>(i % 2), Signal::kAnchorDistance, value));
      watched += said != DriftSignal::kLearning;
      if (said == DriftSignal::kDrift) {
        alarms += 1;
        monitor.Rebaseline();
      }
    }
  }
  const double found = static_cast<double>(watched) / std::max(1, alarms);
  std::printf("seeds 101..110: %d alarms in %d samples of two values, one every %.0f\n", alarms,
              watched, found);
  // About 200 alarms: a standard error of 7 %.
  EXPECT_GE(found, 0.8 * every);

  DriftMonitor monitor = DriftMonitor::Create({.classes = 2, .false_alarm_every = 1e5}).value();
  base::Random random(9);
  std::uint64_t index = 0;
  const auto one = [&](double odds) {
    const float value = random.Uniform() < odds ? 1.0f : 0.0f;
    index += 1;
    return monitor.Observe(
        OneSignal(index, static_cast<std::uint16_t>(index % 2), Signal::kAnchorDistance, value));
  };
  for (int i = 0; i < 2000; ++i) ASSERT_NE(one(0.2), DriftSignal::kDrift);
  int noticed = 0;
  for (int i = 1; i <= 300 && noticed == 0; ++i) {
    if (one(0.8) == DriftSignal::kDrift) noticed = i;
  }
  EXPECT_GT(noticed, 0);
  EXPECT_LE(noticed, 60);
}

// Result: no alarm while a share of 30 % lies at the rail as it always did; one when all does.
TEST(DriftMonitorBadInput, ASignalAtTheSensorsRailIsJudgedByWhatIsUsual) {
  DriftMonitor monitor = DriftMonitor::Create({.classes = 2}).value();
  base::Random random(6);
  std::uint64_t index = 0;
  const auto one = [&](double share) {
    index += 1;
    const double value =
        random.Uniform() < share ? 4095.0 : std::min(4095.0, 2000.0 + 300.0 * random.Normal());
    return monitor.Observe(OneSignal(index, static_cast<std::uint16_t>(random.Below(2)),
                                     Signal::kAnchorDistance, static_cast<float>(value)));
  };
  for (int i = 0; i < 20'000; ++i) ASSERT_NE(one(0.3), DriftSignal::kDrift) << i;
  int noticed = 0;
  for (int i = 1; i <= 200 && noticed == 0; ++i) {
    if (one(1.0) == DriftSignal::kDrift) noticed = i;
  }
  EXPECT_GT(noticed, 0);
  EXPECT_LE(noticed, 60);
}

// Result: its first samples raise nothing by themselves, it learns its own reference, and is then
// watched like any other.
TEST(DriftMonitorBadInput, AClassNeverSeenInCalibrationIsLearnedWhenItComes) {
  DriftMonitor monitor = DriftMonitor::Create({.classes = 3}).value();
  base::Random random(12);
  std::uint64_t index = 0;
  const auto one = [&](std::uint16_t label, double rise) {
    return monitor.Observe(OneSignal(index++, label, Signal::kAnchorDistance,
                                     static_cast<float>(random.Normal() + 20.0 * label + rise)));
  };
  for (int i = 0; i < 1000; ++i) one(static_cast<std::uint16_t>(random.Below(2)), 0.0);
  for (int i = 0; i < 1000; ++i) {
    ASSERT_NE(one(static_cast<std::uint16_t>(random.Below(3)), 0.0), DriftSignal::kDrift) << i;
  }
  EXPECT_GT(monitor.reference().live_samples(Signal::kAnchorDistance, 2), 200u);
  int noticed = 0;
  for (int i = 1; i <= 100 && noticed == 0; ++i) {
    if (one(2, 4.0) == DriftSignal::kDrift) noticed = i;
  }
  EXPECT_GT(noticed, 0);
  EXPECT_LE(noticed, 30);
}

// Result: three held-out values are no reference; no alarm because of them.
TEST(DriftMonitorBadInput, AClassWithThreeReferenceSamplesRaisesNothing) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    DriftMonitor::Options options{.classes = 3, .seed = seed};
    options.held_out[At(Signal::kAnchorDistance)] = {
        {-1.5f, -1.0f, -0.7f, -0.3f, 0.0f, 0.2f, 0.5f, 0.8f, 1.1f, 1.6f},
        {-1.0f, 0.0f, 1.0f},
        {-0.4f, 0.1f, 0.3f}};
    DriftMonitor monitor = DriftMonitor::Create(options).value();
    base::Random random(40 + seed);
    for (std::uint64_t i = 0; i < 5000; ++i) {
      // Class 2 comes once in a hundred.
      const auto label = static_cast<std::uint16_t>(random.Below(100) == 0 ? 2 : random.Below(2));
      ASSERT_NE(monitor.Observe(OneSignal(i, label, Signal::kAnchorDistance,
                                          static_cast<float>(random.Normal()))),
                DriftSignal::kDrift)
          << "seed " << seed << ", " << i;
    }
  }
}

// A block's numbers changed and the block sealed again.
class Forgery {
 public:
  explicit Forgery(base::Bytes block) : block_(std::move(block)) {}

  std::size_t PartAt(std::string_view name) const {
    const auto tag = static_cast<std::uint32_t>(OptionsDigest().AddText(name).value());
    for (std::size_t at = 28; at + 4 <= block_.size(); ++at) {
      if (Get<std::uint32_t>(at) == tag) return at + 4;
    }
    ADD_FAILURE() << "there is no part " << name;
    return 28;
  }
  template <typename T>
  T Get(std::size_t at) const {
    T value;
    std::memcpy(&value, block_.data() + at, sizeof(T));
    return value;
  }
  template <typename T>
  void Set(std::size_t at, T value) {
    std::memcpy(block_.data() + at, &value, sizeof(T));
  }
  std::size_t size() const { return block_.size(); }
  base::Bytes Sealed() {
    Set(block_.size() - 4, base::Crc32c(base::ByteView(block_).first(block_.size() - 4)));
    return block_;
  }

 private:
  base::Bytes block_;
};

// Result: a monitor that has seen 2^50 samples goes on to the bit like one that has seen a
// thousand.
TEST(DriftMonitorBadInput, ABillionSamplesAndMoreChangeNothing) {
  const DriftMonitor::Options options{.classes = 3, .signals = Bit(Signal::kAnchorDistance)};
  FieldStream stream(0, 8, options.classes);
  DriftMonitor young = DriftMonitor::Create(options).value();
  for (int i = 0; i < 1000; ++i) young.Observe(stream.Next());

  // The evidence counts all samples, and of its signal and each class when it came last: its part
  // ends with these.
  constexpr std::uint64_t kMore = std::uint64_t{1} << 50;
  Forgery forged(young.SaveState());
  const std::size_t samples = forged.PartAt("evidence");
  ASSERT_EQ(forged.Get<std::uint64_t>(samples), 700u);  // 1000 less 300 that taught.
  forged.Set(samples, forged.Get<std::uint64_t>(samples) + kMore);
  const std::size_t end = forged.PartAt("history") - 4;
  for (std::size_t at = end - 8 * (1 + options.classes); at < end; at += 8) {
    forged.Set(at, forged.Get<std::uint64_t>(at) + kMore);
  }
  DriftMonitor old = DriftMonitor::Create(options).value();
  const base::Status restored = old.RestoreState(forged.Sealed());
  ASSERT_TRUE(restored.ok()) << restored.error().message;
  for (int i = 0; i < 3000; ++i) {
    const Sample sample = stream.Next(i < 2500 ? 0.0 : 3.0);
    ASSERT_EQ(old.Observe(sample), young.Observe(sample)) << i;
    ASSERT_EQ(old.statistic(), young.statistic()) << i;
  }
  EXPECT_EQ(old.phase(), DriftMonitor::Phase::kOpen);
  EXPECT_EQ(old.explanation()->text, young.explanation()->text);
}

// Result: indices near the end of 64 bits and gaps in them change nothing but the indices told.
TEST(DriftMonitorBadInput, IndicesMayLeapAndLieFarOut) {
  const DriftMonitor::Options options{.classes = 10, .signals = kFieldSignals, .channels = 8};
  DriftMonitor near = DriftMonitor::Create(options).value();
  DriftMonitor far = DriftMonitor::Create(options).value();
  FieldStream stream(options.channels, 3);
  std::uint64_t at = ~std::uint64_t{0} - 40'000;
  for (int i = 0; i < 3000; ++i) {
    const double rise = i < 2500 ? 0.0 : 3.0;
    Sample sample = stream.Next(rise);
    const DriftSignal said = near.Observe(sample);
    sample.index = at;
    at += i % 500 == 0 ? 4000 : 1;
    ASSERT_EQ(far.Observe(sample), said) << i;
  }
  ASSERT_EQ(near.phase(), DriftMonitor::Phase::kOpen);
  const DriftExplanation found = far.explanation().value();
  EXPECT_GT(found.sample_index, ~std::uint64_t{0} - 40'000);
  EXPECT_LE(found.change_index, found.sample_index);
}

// Result: none. Where in the cycle a sample was taken is a value; a clock that was set wrong only
// says another.
TEST(DriftMonitorBadInput, AClockThatJumpsRaisesNothing) {
  DriftMonitor monitor =
      DriftMonitor::Create({.classes = 2, .commission = 500, .has_cycle = true}).value();
  base::Random random(15);
  for (std::uint64_t i = 0; i < 8000; ++i) {
    Sample sample = OneSignal(i, static_cast<std::uint16_t>(random.Below(2)),
                              Signal::kAnchorDistance, static_cast<float>(random.Normal()));
    sample.phase = static_cast<float>(i % 400) / 400.0f;
    if (i > 3000 && i % 97 == 0) sample.phase = static_cast<float>(random.Uniform());
    if (i > 3000 && i % 89 == 0) sample.phase = -1.0f;  // Not known for a moment.
    ASSERT_NE(monitor.Observe(sample), DriftSignal::kDrift) << i;
  }
}

// Result: what lies beyond 1e15 counts as not there; up to there no square, sum or class without
// spread leaves an infinite number behind, which no saved state may hold.
TEST(DriftMonitorBadInput, HoweverLargeAValueTheSavedStateCanBeReadAgain) {
  for (const bool has_cycle : {false, true}) {
    for (const float large : {std::numeric_limits<float>::max(), -1e20f, 1e15f, -1e15f}) {
      SCOPED_TRACE(testing::Message() << large << (has_cycle ? ", cycle" : ""));
      const DriftMonitor::Options options{
          .classes = 4, .channels = 2, .has_cycle = has_cycle, .explain = 5};
      DriftMonitor monitor = DriftMonitor::Create(options).value();
      base::Random random(31);
      double level = 0.0;
      int beyond = 0;
      for (std::uint64_t i = 0; i < 4000; ++i) {
        level = 0.8 * level + 0.6 * random.Normal();
        // Class 2 hardly spreads, class 3 comes late.
        auto label = static_cast<std::uint16_t>(random.Below(i < 2000 ? 3 : 4));
        auto value = static_cast<float>(label == 2 ? 1e-20 * level : level);
        std::vector<float> row = {static_cast<float>(random.Normal()), 0.0f};
        const bool is_large = i > 1200 && i % 50 == 0;
        if (is_large) value = large;
        if (i % 70 == 10) row[i % 2] = large;
        beyond += std::abs(large) > 1e15f ? int{is_large} + int{i % 70 == 10} : 0;
        Sample sample = OneSignal(i, label, Signal::kAnchorDistance, value, row);
        if (has_cycle) sample.phase = static_cast<float>(i % 300) / 300.0f;
        monitor.Observe(sample);
        if (monitor.explanation_is_complete()) monitor.Resume();
        if (i % 10 != 0) continue;
        const base::Status status =
            DriftMonitor::Create(options).value().RestoreState(monitor.SaveState());
        ASSERT_TRUE(status.ok()) << i << ": " << status.error().message;
      }
      EXPECT_GT(monitor.reference().phi(Signal::kAnchorDistance), 0.5f);
      EXPECT_LE(monitor.not_finite(), static_cast<std::uint64_t>(beyond));
      EXPECT_EQ(monitor.not_finite() > 0, beyond > 0);
    }
  }
}

// Result: refused. A phase is -1 or lies in [0, 1), and a number of a cycle has one.
TEST(DriftMonitorBadInput, ASavedPhaseThatIsNoneIsRefused) {
  const DriftMonitor::Options options{.classes = 1, .has_cycle = true};
  DriftMonitor monitor = DriftMonitor::Create(options).value();
  for (std::uint64_t i = 0; i < 100; ++i) {
    Sample sample = OneSignal(i, 0, Signal::kAnchorDistance, static_cast<float>(i % 13));
    sample.phase = static_cast<float>(i + 1) / 128.0f;
    monitor.Observe(sample);
  }
  const Forgery good(monitor.SaveState());
  // The part begins with stage, samples learned, spells or not, the turn; then the last phase. It
  // ends with what was gathered: a hundred phases, classes and masks.
  const std::size_t turn = good.PartAt("reference") + 1 + 8 + 1;
  const std::size_t last = turn + 4;
  const std::size_t gathered = good.PartAt("evidence") - 4 - 100 * (4 + 2 + 2);
  ASSERT_EQ(good.Get<float>(last), 100.0f / 128.0f);
  ASSERT_EQ(good.Get<float>(gathered), 1.0f / 128.0f);
  const auto status_of = [&](std::size_t at, float value) {
    Forgery forged = good;
    forged.Set(at, value);
    return DriftMonitor::Create(options).value().RestoreState(forged.Sealed());
  };
  EXPECT_TRUE(status_of(last, -1.0f).ok());
  EXPECT_TRUE(status_of(last, 0.5f).ok());
  EXPECT_TRUE(status_of(gathered, 0.5f).ok());
  for (const float bad : {-1e9f, -0.5f, 1.0f}) {
    EXPECT_FALSE(status_of(last, bad).ok()) << bad;
    EXPECT_FALSE(status_of(gathered, bad).ok()) << bad;
  }
  EXPECT_FALSE(status_of(gathered, -1.0f).ok()) << "a value without its hour";
  EXPECT_FALSE(status_of(turn, -1e9f).ok());
}

}  // namespace
}  // namespace tinylcm::drift
