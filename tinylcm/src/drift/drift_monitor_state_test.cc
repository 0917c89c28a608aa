// What a drift monitor keeps over a restart: all of it, to the bit, or nothing.

#include <gtest/gtest.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/random.h"
#include "tinylcm/drift/drift_monitor.h"
#include "tinylcm/src/drift/drift_field_test.h"

namespace tinylcm::drift {
namespace {

// A stream that has everything: learning, quiet times, a drift, its explanation.
constexpr std::size_t kLength = 2000;
constexpr std::size_t kOnset = 1500;

DriftMonitor::Options Small() {
  return {.classes = 3,
          .signals = Bit(Signal::kAnchorDistance) | Bit(Signal::kMargin) | Bit(Signal::kClassMix),
          .channels = 4,
          .held_out = FieldHeldOut(3, 40)};
}

struct Stream {
  explicit Stream(const DriftMonitor::Options& options, std::uint64_t seed = 7) {
    FieldStream field(options.channels, seed, options.classes);
    for (std::size_t i = 0; i < kLength; ++i) {
      const bool drifted = i >= kOnset;
      samples.push_back(field.Next(drifted ? 2.5 : 0.0, drifted ? 1.0f : 0.0f));
      rows.emplace_back(samples[i].channels.begin(), samples[i].channels.end());
    }
    for (std::size_t i = 0; i < kLength; ++i) samples[i].channels = rows[i];
  }
  std::vector<Sample> samples;
  std::vector<std::vector<float>> rows;
};

DriftMonitor After(const DriftMonitor::Options& options, const Stream& stream, std::size_t count) {
  DriftMonitor monitor = DriftMonitor::Create(options).value();
  for (std::size_t i = 0; i < count; ++i) monitor.Observe(stream.samples[i]);
  return monitor;
}

TEST(DriftMonitorState, GoesOnBitForBitFromEverySampleOfTwoThousand) {
  const DriftMonitor::Options options = Small();
  const Stream stream(options);
  DriftMonitor whole = DriftMonitor::Create(options).value();
  std::vector<DriftSignal> said;
  std::vector<base::Bytes> saved;
  for (const Sample& sample : stream.samples) {
    saved.push_back(whole.SaveState());
    said.push_back(whole.Observe(sample));
  }
  ASSERT_EQ(whole.phase(), DriftMonitor::Phase::kOpen);
  const base::Bytes end = whole.SaveState();
  const DriftMonitor fresh = DriftMonitor::Create(options).value();
  for (std::size_t k = 0; k < kLength; ++k) {
    DriftMonitor restored = fresh;
    const base::Status status = restored.RestoreState(saved[k]);
    ASSERT_TRUE(status.ok()) << k << ": " << status.error().message;
    ASSERT_EQ(restored.SaveState(), saved[k]) << k;
    for (std::size_t i = k; i < kLength; ++i) {
      ASSERT_EQ(restored.Observe(stream.samples[i]), said[i]) << k << ", " << i;
    }
    ASSERT_EQ(restored.SaveState(), end) << "from " << k;
    if (k % 400 == 0) {
      EXPECT_EQ(restored.explanation()->text, whole.explanation()->text) << k;
    }
  }
}

TEST(DriftMonitorState, KeepsAnAlarmRuleToo) {
  DriftMonitor::Options options = Small();
  options.alarm = AlarmRule{.detector = "cusum", .options = {}, .signal = Signal::kMargin};
  const Stream stream(options);
  const DriftMonitor whole = After(options, stream, kLength);
  for (const std::size_t k : {0u, 150u, 299u, 300u, 301u, 777u, 1503u, 1999u}) {
    DriftMonitor restored = DriftMonitor::Create(options).value();
    ASSERT_TRUE(restored.RestoreState(After(options, stream, k).SaveState()).ok()) << k;
    for (std::size_t i = k; i < kLength; ++i) restored.Observe(stream.samples[i]);
    EXPECT_EQ(restored.SaveState(), whole.SaveState()) << k;
  }
}

TEST(DriftMonitorState, ACopyIsItsOwn) {
  const DriftMonitor::Options options = Small();
  const Stream stream(options);
  DriftMonitor one = After(options, stream, 1000);
  const base::Bytes before = one.SaveState();
  DriftMonitor other = one;
  for (std::size_t i = 1000; i < kLength; ++i) other.Observe(stream.samples[i]);
  EXPECT_EQ(one.SaveState(), before);
}

// Learning, watching with a full history, and open.
constexpr std::size_t kMoments[] = {200, 1400, 1700};

TEST(DriftMonitorState, IsRefusedWhereverItEndsTooEarly) {
  const DriftMonitor::Options options = Small();
  const Stream stream(options);
  DriftMonitor live = After(options, stream, 900);
  const base::Bytes before = live.SaveState();
  for (const std::size_t moment : kMoments) {
    const base::Bytes good = After(options, stream, moment).SaveState();
    for (std::size_t size = 0; size < good.size(); ++size) {
      ASSERT_FALSE(live.RestoreState(base::ByteView(good).first(size)).ok()) << size;
    }
    base::Bytes longer = good;
    longer.push_back(0);
    EXPECT_FALSE(live.RestoreState(longer).ok());
  }
  EXPECT_EQ(live.SaveState(), before);
}

TEST(DriftMonitorState, IsRefusedWhenAnyBitIsFlipped) {
  const DriftMonitor::Options options = Small();
  const Stream stream(options);
  DriftMonitor live = After(options, stream, 900);
  const base::Bytes before = live.SaveState();
  base::Bytes block = After(options, stream, 1700).SaveState();
  for (std::size_t bit = 0; bit < 8 * block.size(); ++bit) {
    const auto mask = static_cast<std::uint8_t>(1u << (bit % 8));
    block[bit / 8] ^= mask;
    ASSERT_FALSE(live.RestoreState(block).ok()) << "bit " << bit;
    block[bit / 8] ^= mask;
  }
  EXPECT_EQ(live.SaveState(), before);
  EXPECT_TRUE(live.RestoreState(block).ok());
}

// A block that was changed and sealed again is not refused by its checksum: each part must look for
// itself. It may be taken where it is one a monitor could have left; then the monitor goes on.
TEST(DriftMonitorState, AForgedOneIsRefusedUntouchedOrUsable) {
  const DriftMonitor::Options options = Small();
  const Stream stream(options);
  constexpr std::size_t kHeader = 28;
  base::Random random(11);
  int taken = 0;
  int refused = 0;
  for (const std::size_t moment : kMoments) {
    const DriftMonitor live = After(options, stream, 900);
    const base::Bytes before = live.SaveState();
    const base::Bytes good = After(options, stream, moment).SaveState();
    for (int trial = 0; trial < 2000; ++trial) {
      base::Bytes forged = good;
      const std::size_t at = kHeader + random.Below(good.size() - kHeader - 4);
      forged[at] = static_cast<std::uint8_t>(random.Below(256));
      const std::uint32_t crc = base::Crc32c(base::ByteView(forged).first(forged.size() - 4));
      std::memcpy(forged.data() + forged.size() - 4, &crc, 4);
      DriftMonitor monitor = live;
      if (monitor.RestoreState(forged).ok()) {
        taken += 1;
        for (std::size_t i = 0; i < 50; ++i) monitor.Observe(stream.samples[moment + i]);
        static_cast<void>(monitor.explanation());
      } else {
        refused += 1;
        ASSERT_EQ(monitor.SaveState(), before) << moment << ", byte " << at;
      }
    }
  }
  std::printf("seed 11: of 6000 forged blocks %d were taken, %d refused\n", taken, refused);
  EXPECT_GT(refused, 1000);
}

TEST(DriftMonitorState, OfAnotherMonitorIsRefusedAndSaidWhy) {
  const DriftMonitor::Options options = Small();
  const Stream stream(options);
  const base::Bytes good = After(options, stream, 900).SaveState(5);
  const auto refusal = [&](const DriftMonitor::Options& other, std::uint64_t belongs_to = 5) {
    DriftMonitor monitor = DriftMonitor::Create(other).value();
    const base::Bytes before = monitor.SaveState();
    const base::Status status = monitor.RestoreState(good, belongs_to);
    EXPECT_EQ(monitor.SaveState(), before);
    return status.ok() ? base::ErrorCode::kInternal : status.error().code;
  };
  EXPECT_EQ(refusal(options, 6), base::ErrorCode::kInvalidArgument) << "another bundle";
  DriftMonitor::Options other = options;
  other.classes = 4;
  EXPECT_EQ(refusal(other), base::ErrorCode::kInvalidArgument) << "more classes";
  other = options;
  other.channels = 5;
  EXPECT_EQ(refusal(other), base::ErrorCode::kInvalidArgument) << "more channels";
  other = options;
  other.signals |= Bit(Signal::kEntropy);
  EXPECT_EQ(refusal(other), base::ErrorCode::kInvalidArgument) << "more signals";
  other = options;
  other.has_cycle = true;
  EXPECT_EQ(refusal(other), base::ErrorCode::kInvalidArgument) << "a cycle";
  other = options;
  other.alarm = AlarmRule{.detector = "cusum"};
  EXPECT_EQ(refusal(other), base::ErrorCode::kInvalidArgument) << "an alarm rule";
  other = options;
  other.held_out[At(Signal::kMargin)] = {{0.1f, 0.5f, 0.9f}, {}, {0.2f}};
  EXPECT_EQ(refusal(other), base::ErrorCode::kInvalidArgument) << "other held-out values";

  // The version that was JSON, and one to come.
  DriftMonitor monitor = DriftMonitor::Create(options).value();
  EXPECT_FALSE(monitor.RestoreState(base::AsBytes(R"({"format":"tinylcm-drift-monitor/1"})")).ok());
  base::Bytes newer = good;
  newer[8] += 1;
  EXPECT_EQ(monitor.RestoreState(newer, 5).error().code, base::ErrorCode::kUnsupported);
}

// The block is what a device writes once a minute and must not grow: at its fullest, of ten classes
// and 256 channels, at most 64 KiB.
TEST(DriftMonitorState, IsAtMost64KiBForTenClassesAnd256Channels) {
  std::size_t most = 0;
  DriftMonitor::Options options;
  options.classes = 10;
  options.channels = 256;
  options.signals = kFieldSignals | Bit(Signal::kStuck) | Bit(Signal::kRail);
  options.held_out[At(Signal::kAnchorDistance)].assign(10, std::vector<float>(64, 1.0f));
  Field field(options);
  base::Random random(3);
  for (std::size_t i = 0; i < 6000; ++i) {
    Sample sample = field.stream.Next(i < 5500 ? 0.0 : 4.0);
    sample.Set(Signal::kStuck, static_cast<float>(random.Uniform()));
    sample.Set(Signal::kRail, static_cast<float>(random.Uniform()));
    field.monitor.Observe(sample);
    if (i < 700 || i % 100 == 0) most = std::max(most, field.monitor.SaveState().size());
  }
  EXPECT_EQ(field.monitor.phase(), DriftMonitor::Phase::kOpen);
  std::printf("10 classes, 256 channels, 8 signals: at most %zu bytes\n", most);
  EXPECT_LE(most, 64u * 1024);
}

// How often a false alarm may come is the user's to change at any time: what was learned stays, and
// the monitor is the one it would have been had it been told so from the start.
TEST(DriftMonitorState, FitsAMonitorThatMayAlarmMoreSeldom) {
  const DriftMonitor::Options often = [] {
    DriftMonitor::Options options = Small();
    options.false_alarm_every = 1e5;
    return options;
  }();
  DriftMonitor::Options seldom = often;
  seldom.false_alarm_every = 1e7;
  const Stream stream(often);
  for (const std::size_t moment : {200u, 900u}) {
    const DriftMonitor whole = After(seldom, stream, moment);
    DriftMonitor restored = DriftMonitor::Create(seldom).value();
    const base::Status status = restored.RestoreState(After(often, stream, moment).SaveState());
    ASSERT_TRUE(status.ok()) << status.error().message;
    EXPECT_EQ(restored.SaveState(), whole.SaveState());
    EXPECT_EQ(restored.limit(), whole.limit());
    const auto factory_limit = [](const DriftMonitor& monitor) {
      return monitor.reference().factory(Signal::kAnchorDistance)->level().limit;
    };
    EXPECT_EQ(factory_limit(restored), factory_limit(whole));
    EXPECT_EQ(factory_limit(restored) > 0.0, moment == 900);
  }
}

}  // namespace
}  // namespace tinylcm::drift
