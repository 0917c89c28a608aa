#include "tinylcm/drift/channel_shift.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "base/random.h"

namespace tinylcm::drift {
namespace {

using Row = std::vector<float>;

ChannelShift Make(std::uint32_t channels) {
  return ChannelShift::Create({.channels = channels}).value();
}

Row NormalRow(base::Random& random, std::size_t channels) {
  Row row(channels);
  for (float& value : row) value = static_cast<float>(random.Normal());
  return row;
}

std::vector<std::uint32_t> Indices(const std::vector<MovedChannel>& moved) {
  std::vector<std::uint32_t> indices;
  for (const MovedChannel& channel : moved) indices.push_back(channel.index);
  return indices;
}

TEST(ChannelShift, NamesTheChannelsThatMovedLargestFirst) {
  base::Random random(1);
  ChannelShift shift = Make(8);
  for (int i = 0; i < 300; ++i) shift.Learn(NormalRow(random, 8));
  for (int i = 0; i < 50; ++i) {
    Row row = NormalRow(random, 8);
    row[2] += 1.5f;
    row[5] -= 4.0f;
    shift.Observe(row);
  }
  const auto moved = shift.Moved();
  EXPECT_EQ(Indices(moved), (std::vector<std::uint32_t>{5, 2}));
  // Fifty rows of sd 1: the shift is known to about 0.15.
  EXPECT_NEAR(moved[0].shift_sigma, -4.0, 0.6);
  EXPECT_NEAR(moved[1].shift_sigma, 1.5, 0.6);
}

// error_rate 0.01 a look: of 400 looks at nothing about 4 name a channel (Poisson, at most 11).
TEST(ChannelShift, SeldomNamesAnythingWhenNothingMoved) {
  const std::uint64_t seed = 2;
  SCOPED_TRACE(seed);
  base::Random random(seed);
  int looks_with_names = 0;
  ChannelShift shift = ChannelShift::Create({.channels = 64, .shift_sigma_min = 0.0}).value();
  for (int i = 0; i < 2000; ++i) shift.Learn(NormalRow(random, 64));
  for (int look = 0; look < 400; ++look) {
    shift.Discard();
    for (int i = 0; i < 12; ++i) shift.Observe(NormalRow(random, 64));
    looks_with_names += shift.Moved().empty() ? 0 : 1;
  }
  EXPECT_LE(looks_with_names, 11);
}

TEST(ChannelShift, DoesNotNameAChannelForTwoFlashes) {
  base::Random random(3);
  ChannelShift shift = Make(2);
  // Channel 1 is dark but for a flash in a hundred rows: sd about 0.1, a flash is 10 sigma.
  for (int i = 0; i < 300; ++i)
    shift.Learn(Row{NormalRow(random, 1)[0], i % 100 == 0 ? 1.0f : 0.0f});
  for (int i = 0; i < 10; ++i) shift.Observe(Row{NormalRow(random, 1)[0], i < 2 ? 1.0f : 0.0f});
  // Unclipped the mean would be 2 sigma off, and 6 standard errors; clipped it is 0.6 - 0.1
  // and 1.5.
  EXPECT_TRUE(shift.Moved().empty());
}

TEST(ChannelShift, DoesNotShoutAboutTheRoundingNoiseOfAConstantChannel) {
  base::Random random(4);
  ChannelShift shift = Make(3);
  for (int i = 0; i < 300; ++i) {
    Row row = NormalRow(random, 3);
    row[2] = 7.0f;
    shift.Learn(row);
  }
  for (int i = 0; i < 50; ++i) {
    Row row = NormalRow(random, 3);
    row[2] = 7.0f + 1e-6f;
    shift.Observe(row);
  }
  EXPECT_TRUE(shift.Moved().empty());
  shift.Discard();
  for (int i = 0; i < 50; ++i) {
    Row row = NormalRow(random, 3);
    row[2] = 8.0f;
    shift.Observe(row);
  }
  EXPECT_EQ(Indices(shift.Moved()), std::vector<std::uint32_t>{2});
}

// Spells of a hundred rows of one kind or the other: each shifts channel 0 by +-1. One spell after
// the reference is the usual thing, and no reason to name anything; a shift of 6 is.
TEST(ChannelShift, KnowsThatWholeSpellsDiffer) {
  base::Random random(5);
  ChannelShift shift = Make(1);
  const auto row = [&random](int i) {
    return Row{static_cast<float>(i / 100 % 2 == 0 ? 1.0 : -1.0) +
               0.5f * static_cast<float>(random.Normal())};
  };
  for (int i = 0; i < 1000; ++i) shift.Learn(row(i));
  for (int i = 0; i < 100; ++i) shift.Observe(row(i));
  EXPECT_TRUE(shift.Moved().empty());
  shift.Discard();
  for (int i = 0; i < 100; ++i) shift.Observe(Row{row(i)[0] + 6.0f});
  EXPECT_EQ(Indices(shift.Moved()), std::vector<std::uint32_t>{0});
}

TEST(ChannelShift, TakesAcceptedRowsIntoTheReferenceABlockAtATime) {
  // {0, 2} learned, {4, 6} accepted: mean 3, summed squared deviations 9 + 1 + 1 + 9 = 20, over
  // three: 6.67.
  ChannelShift shift = ChannelShift::Create({.channels = 1, .block = 2}).value();
  shift.Learn(Row{0.0f});
  shift.Learn(Row{2.0f});
  shift.Observe(Row{4.0f});
  shift.Accept();
  EXPECT_EQ(shift.reference_count(), 2u);
  EXPECT_EQ(shift.recent_count(), 1u);
  shift.Observe(Row{6.0f});
  shift.Accept();
  EXPECT_EQ(shift.reference_count(), 4u);
  EXPECT_DOUBLE_EQ(shift.reference_mean(0), 3.0);
  EXPECT_NEAR(shift.reference_sd(0), std::sqrt(20.0 / 3.0), 1e-6);
  EXPECT_EQ(shift.recent_count(), 0u);
}

// Half of the last block was quiet: the shift of 2 looks like 1.3 at the alarm, and like 2 as soon
// as the rows since then speak for themselves.
TEST(ChannelShift, CountsTheRowsSinceTheAlarmByThemselves) {
  base::Random random(8);
  ChannelShift shift = Make(4);
  const auto row = [&random](float by) {
    Row drawn = NormalRow(random, 4);
    drawn[1] += by;
    return drawn;
  };
  for (int i = 0; i < 1000; ++i) shift.Learn(row(0.0f));
  for (int i = 0; i < 10; ++i) shift.Observe(row(0.0f));
  for (int i = 0; i < 20; ++i) shift.Observe(row(2.0f));
  shift.Alarm();
  ASSERT_EQ(Indices(shift.Moved()), std::vector<std::uint32_t>{1});
  EXPECT_NEAR(shift.Moved()[0].shift_sigma, 2.0 * 20.0 / 30.0, 0.5);
  for (int i = 0; i < 100; ++i) shift.Observe(row(2.0f));
  shift.Accept();  // Nothing is quiet after an alarm.
  EXPECT_EQ(shift.reference_count(), 1000u);
  ASSERT_EQ(Indices(shift.Moved()), std::vector<std::uint32_t>{1});
  EXPECT_NEAR(shift.Moved()[0].shift_sigma, 2.0, 0.3);
  shift.Discard();
  EXPECT_TRUE(shift.Moved().empty());
}

TEST(ChannelShift, FindsAChannelThatStandsStill) {
  base::Random random(9);
  ChannelShift shift = Make(3);
  // Channel 2 is dark but for a flash in fifty rows: standing still is its nature.
  const auto row = [&random](int i) {
    Row drawn = NormalRow(random, 3);
    drawn[2] = i % 50 == 0 ? 5.0f : 0.0f;
    return drawn;
  };
  for (int i = 1; i <= 300; ++i) shift.Learn(row(i));
  for (int i = 1; i < 40; ++i) {
    Row drawn = row(i);
    drawn[0] = 3.0f + (i % 2 == 0 ? 0.001f : 0.0f);  // At its rail, flickering.
    shift.Observe(drawn);
    // It may stand still for a step by chance, but not for 16 rows.
    if (i < 16) {
      EXPECT_TRUE(shift.Findings().stuck.empty()) << i;
    }
  }
  EXPECT_EQ(shift.Findings().stuck, std::vector<std::uint32_t>{0});
}

TEST(ChannelShift, TellsNoiseFromAShift) {
  base::Random random(10);
  // A shift of one sigma at least is named: the mean of 100 rows of three times the spread is off
  // by 0.3, clipped by less.
  ChannelShift shift = ChannelShift::Create({.channels = 16, .shift_sigma_min = 1.0}).value();
  for (int i = 0; i < 500; ++i) shift.Learn(NormalRow(random, 16));
  shift.Alarm();
  for (int i = 0; i < 40; ++i) shift.Observe(NormalRow(random, 16));
  EXPECT_EQ(shift.Findings().scattered, 0u);
  EXPECT_EQ(shift.Findings().looked_at, 16u);
  shift.Discard();
  shift.Alarm();
  for (int i = 0; i < 100; ++i) {
    Row row = NormalRow(random, 16);
    for (int channel = 0; channel < 8; ++channel) row[static_cast<std::size_t>(channel)] *= 3.0f;
    shift.Observe(row);
  }
  EXPECT_EQ(shift.Findings().scattered, 8u);
  EXPECT_TRUE(shift.Findings().moved.empty());
}

TEST(ChannelShift, NamesNothingFromTooFewRows) {
  base::Random random(6);
  ChannelShift shift = Make(1);
  for (int i = 0; i < 300; ++i) shift.Learn(NormalRow(random, 1));
  for (int i = 0; i < 4; ++i) shift.Observe(Row{100.0f});
  EXPECT_TRUE(shift.Moved().empty());
  shift.Observe(Row{100.0f});
  EXPECT_EQ(shift.Moved().size(), 1u);
}

TEST(ChannelShift, WatchesNothingWhereThereAreNoChannels) {
  ChannelShift shift = Make(0);
  for (int i = 0; i < 50; ++i) shift.Learn({});
  for (int i = 0; i < 50; ++i) shift.Observe({});
  shift.Accept();
  EXPECT_TRUE(shift.Moved().empty());
}

base::Bytes Saved(const ChannelShift& shift) {
  StateWriter writer;
  shift.Write(writer);
  return std::move(writer).Seal(1, 1);
}

// Read into a spare one; empty where that refused.
std::optional<ChannelShift> ReadBack(const base::Bytes& block, std::uint32_t channels) {
  StateReader reader = StateReader::Open(block, 1, 1).value();
  ChannelShift spare = Make(channels);
  spare.Read(reader);
  if (!reader.AtEnd().ok()) return std::nullopt;
  return spare;
}

TEST(ChannelShift, GoesOnFromAReadStateAsIfNeverStopped) {
  base::Random random(11);
  ChannelShift shift = Make(70);
  const auto step = [&random](ChannelShift& one, const Row& row, int i) {
    if (i < 100) return one.Learn(row);
    if (i == 250) one.Alarm();
    one.Observe(row);
    if (i < 240) one.Accept();
  };
  std::optional<ChannelShift> other;
  for (int i = 0; i < 300; ++i) {
    const Row row = NormalRow(random, 70);
    step(shift, row, i);
    if (other) step(*other, row, i);
    // At any time: read afresh, and both go on to the same bytes.
    if (other) {
      ASSERT_EQ(Saved(*other), Saved(shift)) << i;
    }
    if (i % 7 == 0) {
      other = ReadBack(Saved(shift), 70);
      ASSERT_TRUE(other.has_value()) << i;
    }
  }
}

TEST(ChannelShift, IsSmallEnoughForADevice) {
  // The engine's whole state has 64 KiB; of 256 channels this part may take 9.
  EXPECT_LE(Saved(Make(256)).size(), 9u * 1024);
}

TEST(ChannelShift, RefusesAStateThatCannotBe) {
  ChannelShift shift = Make(2);
  shift.Learn(Row{1.0f, 2.0f});
  const base::Bytes good = Saved(shift);
  EXPECT_TRUE(ReadBack(good, 2).has_value());
  EXPECT_FALSE(ReadBack(good, 3).has_value());
  EXPECT_FALSE(ReadBack(good, 1).has_value());
  const auto refused = [](float likeness, std::uint32_t spell_rows, float m2) {
    StateWriter writer;
    writer.Section("channels");
    writer.Put(true);
    writer.Put(false);
    writer.Put(likeness);
    writer.Put(std::uint32_t{0});
    writer.Put(spell_rows);
    writer.Put(std::uint64_t{1});
    writer.Put(std::uint32_t{0});
    writer.Put(std::uint32_t{0});
    writer.Put(0.0f);  // Of one channel: the mean,
    writer.Put(m2);
    for (int i = 0; i < 7; ++i) writer.Put(0.0f);
    writer.Put(std::uint16_t{0});  // Both counts of standing still.
    return !ReadBack(std::move(writer).Seal(1, 1), 1).has_value();
  };
  EXPECT_FALSE(refused(0.5f, 3, 1.0f));
  EXPECT_TRUE(refused(1.5f, 3, 1.0f));
  EXPECT_TRUE(refused(std::numeric_limits<float>::quiet_NaN(), 3, 1.0f));
  EXPECT_TRUE(refused(0.5f, 16, 1.0f));
  EXPECT_TRUE(refused(0.5f, 3, -1.0f));
  EXPECT_TRUE(refused(0.5f, 3, std::numeric_limits<float>::infinity()));
}

TEST(ChannelShift, RefusesOptionsThatCannotWork) {
  EXPECT_FALSE(ChannelShift::Create({.error_rate = 0.0}).ok());
  EXPECT_FALSE(ChannelShift::Create({.error_rate = 1.0}).ok());
  EXPECT_FALSE(ChannelShift::Create({.shift_sigma_min = -1.0}).ok());
  EXPECT_FALSE(ChannelShift::Create({.samples_min = 0}).ok());
  EXPECT_FALSE(ChannelShift::Create({.reference_max = 1}).ok());
  EXPECT_FALSE(ChannelShift::Create({.block = 0}).ok());
}

TEST(DescribeChannels, SaysRangesAsAPersonWould) {
  EXPECT_EQ(DescribeChannels({}), "");
  EXPECT_EQ(DescribeChannels({4}), "channel 4");
  EXPECT_EQ(DescribeChannels({5, 4}), "channels 4 and 5");
  EXPECT_EQ(DescribeChannels({18, 16, 17}), "channels 16 to 18");
  EXPECT_EQ(DescribeChannels({3, 7, 9, 10, 11, 12}), "channels 3, 7 and 9 to 12");
}

}  // namespace
}  // namespace tinylcm::drift
