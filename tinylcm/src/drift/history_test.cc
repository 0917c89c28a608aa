#include "tinylcm/drift/history.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <utility>

#include "base/random.h"
#include "tests/support/allocations.h"
#include "tinylcm/drift/detectors/normal.h"

namespace tinylcm::drift {
namespace {

constexpr float kNothing = std::numeric_limits<float>::quiet_NaN();
constexpr SignalMask kTwo = Bit(Signal::kAnchorDistance) | Bit(Signal::kClassMix);
using Marks = std::array<float, kSignals>;

History Make(std::uint32_t samples = 16, SignalMask signals = kTwo) {
  return History::Create({.samples = samples, .classes = 3, .signals = signals}).value();
}

Marks Only(Signal signal, float value) {
  Marks marks;
  marks.fill(kNothing);
  marks[At(signal)] = value;
  return marks;
}

TEST(History, KeepsTheLastSamplesOldestFirst) {
  History history = Make(16);
  const Marks u = Only(Signal::kAnchorDistance, 0.5f);
  // Twenty into sixteen places; every third index is left out.
  for (std::uint64_t i = 0; i < 20; ++i) {
    history.Add((std::uint64_t{1} << 40) + 3 * i, static_cast<std::uint16_t>(i % 3), u, u);
  }
  ASSERT_EQ(history.size(), 16u);
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(history.index(i), (std::uint64_t{1} << 40) + 3 * (i + 4));
    EXPECT_EQ(history.predicted(i), (i + 4) % 3);
  }
}

TEST(History, RemembersIndicesAcrossTheTurnOfTheirLowerHalf) {
  History history = Make();
  const std::uint64_t turn = std::uint64_t{1} << 32;
  const Marks u = Only(Signal::kAnchorDistance, 0.5f);
  for (const std::uint64_t index : {turn - 2, turn - 1, turn, turn + 7}) {
    history.Add(index, 0, u, u);
  }
  EXPECT_EQ(history.index(0), turn - 2);
  EXPECT_EQ(history.index(1), turn - 1);
  EXPECT_EQ(history.index(2), turn);
  EXPECT_EQ(history.index(3), turn + 7);
}

// Three bits of mantissa: a number lies within 1/16 of its mark, and the sign is right.
TEST(History, KnowsRanksAndEffectsToSixPercent) {
  const std::uint64_t seed = 1;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  History history = Make();
  for (int i = 0; i < 10'000; ++i) {
    const auto u = static_cast<float>(random.Uniform(1e-4, 1.0 - 1e-4));
    const auto effect = static_cast<float>((random.Uniform() < 0.5 ? -1.0 : 1.0) *
                                           std::exp2(random.Uniform(-6.0, 8.0)));
    history.Add(static_cast<std::uint64_t>(i), 0, Only(Signal::kAnchorDistance, u),
                Only(Signal::kAnchorDistance, effect));
    const std::size_t last = history.size() - 1;
    const double rank = history.rank(last, Signal::kAnchorDistance).value();
    const double end = std::min(static_cast<double>(u), 1.0 - static_cast<double>(u));
    EXPECT_NEAR(rank, static_cast<double>(u), end / 15.0) << u;
    EXPECT_NEAR(history.effect(last, Signal::kAnchorDistance).value(), static_cast<double>(effect),
                std::abs(static_cast<double>(effect)) / 15.0);
    EXPECT_NEAR(history.score(last, Signal::kAnchorDistance).value(), NormalQuantile(rank), 1e-6);
  }
}

TEST(History, AnswersForTheEndsOfBothScales) {
  History history = Make();
  history.Add(1, 0, Only(Signal::kAnchorDistance, 0.0f), Only(Signal::kAnchorDistance, -1e9f));
  history.Add(2, 0, Only(Signal::kAnchorDistance, 1.0f), Only(Signal::kAnchorDistance, 0.0f));
  EXPECT_NEAR(history.rank(0, Signal::kAnchorDistance).value(), 0x1p-16, 0x1p-18);
  EXPECT_NEAR(history.score(1, Signal::kAnchorDistance).value(), 4.2, 0.1);
  EXPECT_EQ(history.effect(0, Signal::kAnchorDistance), -480.0);
  EXPECT_EQ(history.effect(1, Signal::kAnchorDistance), 0.0);
}

TEST(History, SaysWhatIsNotThere) {
  History history = Make();
  history.Add(1, 0, Only(Signal::kClassMix, 0.25f), Only(Signal::kAnchorDistance, 1.0f));
  EXPECT_EQ(history.rank(0, Signal::kAnchorDistance), std::nullopt);
  EXPECT_EQ(history.rank(0, Signal::kClassMix), 0.25);
  EXPECT_EQ(history.effect(0, Signal::kClassMix), std::nullopt);
  // A signal that is not kept.
  EXPECT_EQ(history.rank(0, Signal::kSharpness), std::nullopt);
}

History Filled(std::uint64_t seed, int samples) {
  base::Random random(seed);
  History history = Make(32);
  for (int i = 0; i < samples; ++i) {
    Marks u, effect;
    for (float& value : u) value = static_cast<float>(random.Uniform());
    for (float& value : effect) value = static_cast<float>(random.Normal());
    history.Add(static_cast<std::uint64_t>(2 * i), static_cast<std::uint16_t>(random.Below(3)), u,
                effect);
  }
  return history;
}

base::Bytes Saved(const History& history) {
  StateWriter writer;
  history.Write(writer);
  return std::move(writer).Seal(1, 1);
}

TEST(History, IsTheSameAfterItWasWrittenAndRead) {
  for (const int samples : {0, 1, 31, 32, 50}) {
    const History history = Filled(3, samples);
    const base::Bytes block = Saved(history);
    StateReader reader = StateReader::Open(block, 1, 1).value();
    History read = Make(32);
    read.Read(reader);
    ASSERT_TRUE(reader.AtEnd().ok()) << samples;
    EXPECT_EQ(Saved(read), block);
    ASSERT_EQ(read.size(), history.size());
    for (std::size_t i = 0; i < read.size(); ++i) EXPECT_EQ(read.index(i), history.index(i));
  }
}

TEST(History, RefusesAStateWhoseNumbersCannotBe) {
  const History history = Filled(4, 40);
  const auto refused = [](StateWriter writer) {
    const base::Bytes block = std::move(writer).Seal(1, 1);
    StateReader reader = StateReader::Open(block, 1, 1).value();
    History read = Make(32);
    read.Read(reader);
    return !reader.ok();
  };
  const auto written = [](std::uint32_t next, std::uint32_t count, std::uint32_t second_index,
                          std::uint16_t label, std::uint8_t rank) {
    StateWriter writer;
    writer.Section("history");
    writer.Put(std::uint64_t{31});
    writer.Put(next);
    writer.Put(count);
    for (std::uint32_t i = 0; i < 32; ++i) writer.Put(i == 1 ? second_index : i);
    for (int i = 0; i < 32; ++i) writer.Put(label);
    for (int i = 0; i < 64; ++i) writer.Put(rank);
    for (int i = 0; i < 64; ++i) writer.Put(std::uint8_t{0});
    return writer;
  };
  EXPECT_FALSE(refused(written(0, 32, 1, 2, 0x40)));
  EXPECT_TRUE(refused(written(32, 32, 1, 2, 0x40)));  // A place beyond the ring,
  EXPECT_TRUE(refused(written(0, 33, 1, 2, 0x40)));   // more samples than it holds,
  EXPECT_TRUE(refused(written(0, 32, 9, 2, 0x40)));   // 0, 9, 2, ...,
  EXPECT_TRUE(refused(written(0, 32, 1, 3, 0x40)));   // the fourth class of three,
  EXPECT_TRUE(refused(written(0, 32, 1, 2, 0)));      // and a rank of nothing.
  EXPECT_TRUE(refused(StateWriter()));
}

TEST(History, AllocatesNothingOnceMade) {
  History history = Make();
  const Marks u = Only(Signal::kAnchorDistance, 0.5f);
  const auto before = testing_support::Allocations();
  for (std::uint64_t i = 0; i < 100; ++i) history.Add(i, 0, u, u);
  history.Clear();
  EXPECT_EQ(testing_support::Allocations(), before);
  EXPECT_EQ(history.size(), 0u);
}

TEST(History, RefusesOptionsThatCannotWork) {
  EXPECT_FALSE(History::Create({.samples = 15, .signals = kTwo}).ok());
  EXPECT_FALSE(History::Create({.samples = 65537, .signals = kTwo}).ok());
  EXPECT_FALSE(History::Create({.classes = 0, .signals = kTwo}).ok());
  EXPECT_FALSE(History::Create({.signals = SignalMask{1} << kSignals}).ok());
}

}  // namespace
}  // namespace tinylcm::drift
