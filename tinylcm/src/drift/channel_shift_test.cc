#include "tinylcm/drift/channel_shift.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

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

TEST(ChannelShift, TakesAcceptedRowsIntoTheReference) {
  // {0, 2} learned, {4, 6} accepted: mean 3, summed squared deviations 9 + 1 + 1 + 9 = 20.
  ChannelShift shift = Make(1);
  shift.Learn(Row{0.0f});
  shift.Learn(Row{2.0f});
  shift.Observe(Row{4.0f});
  shift.Observe(Row{6.0f});
  shift.Accept();
  EXPECT_EQ(shift.state().reference_count, 4u);
  EXPECT_DOUBLE_EQ(shift.state().reference_mean[0], 3.0);
  EXPECT_DOUBLE_EQ(shift.state().reference_m2[0], 20.0);
  EXPECT_EQ(shift.recent_count(), 0u);
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

TEST(ChannelShift, RefusesAStateOfAnotherShapeAndStaysAsItWas) {
  ChannelShift shift = Make(2);
  shift.Learn(Row{1.0f, 2.0f});
  const ChannelShift::State good = shift.state();
  EXPECT_FALSE(shift.Restore(Make(3).state()).ok());
  std::vector<ChannelShift::State> wrong(4, good);
  wrong[0].reference_m2[0] = -1.0;
  wrong[1].recent_sum[1] = std::numeric_limits<double>::infinity();
  wrong[2].recent_clipped.push_back(0.0);
  wrong[3].spell_rows = 1000;
  for (const ChannelShift::State& state : wrong) EXPECT_FALSE(shift.Restore(state).ok());
  EXPECT_EQ(shift.state(), good);
}

TEST(ChannelShift, RefusesOptionsThatCannotWork) {
  EXPECT_FALSE(ChannelShift::Create({.error_rate = 0.0}).ok());
  EXPECT_FALSE(ChannelShift::Create({.error_rate = 1.0}).ok());
  EXPECT_FALSE(ChannelShift::Create({.shift_sigma_min = -1.0}).ok());
  EXPECT_FALSE(ChannelShift::Create({.samples_min = 0}).ok());
  EXPECT_FALSE(ChannelShift::Create({.reference_max = 1}).ok());
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
