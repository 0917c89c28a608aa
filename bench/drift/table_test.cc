#include "bench/drift/table.h"

#include <gtest/gtest.h>

#include <atomic>
#include <vector>

namespace {

using bench::drift::Measured;
using bench::drift::Summarise;

TEST(Measured, IsMetWhereTheValueLiesInTheBand) {
  Measured measured = {.value = 1.05, .low = 0.8, .high = 1.3, .at_least = 0.9, .at_most = 1.1};
  EXPECT_TRUE(measured.met());
  measured.value = 1.2;
  EXPECT_FALSE(measured.met());
  measured.touches = true;  // 0.8 to 1.3 reaches into 0.9 to 1.1.
  EXPECT_TRUE(measured.met());
  measured.low = 1.15;
  EXPECT_FALSE(measured.met());
}

TEST(Measured, IsHeldToNothingWithoutATarget) {
  EXPECT_FALSE(Measured{.value = 5.0}.has_target());
  EXPECT_TRUE((Measured{.value = 5.0, .at_most = 6.0}.has_target()));
}

TEST(Summarise, GivesMeanMedianAndTheirIntervals) {
  // 1 to 100: mean and median 50.5; deviation sqrt(100 x 101 / 12) = 29.01, so 1.96 x 2.901 = 5.69.
  std::vector<double> values;
  for (int i = 100; i >= 1; --i) values.push_back(i);
  const auto is = Summarise(values);
  EXPECT_DOUBLE_EQ(is.mean, 50.5);
  EXPECT_NEAR(is.mean_low, 50.5 - 5.69, 0.01);
  EXPECT_NEAR(is.mean_high, 50.5 + 5.69, 0.01);
  EXPECT_DOUBLE_EQ(is.median, 50.5);
  // The textbook's ranks for 100 values: the 40th and the 61st.
  EXPECT_DOUBLE_EQ(is.median_low, 40.0);
  EXPECT_DOUBLE_EQ(is.median_high, 61.0);
  EXPECT_DOUBLE_EQ(is.max, 100.0);
}

TEST(Summarise, IsCertainOfOneValue) {
  const auto is = Summarise({7.0});
  EXPECT_DOUBLE_EQ(is.mean_low, 7.0);
  EXPECT_DOUBLE_EQ(is.median_low, 7.0);
  EXPECT_DOUBLE_EQ(is.median_high, 7.0);
}

TEST(ForEach, DoesEachJobOnce) {
  for (const std::size_t threads : {1u, 2u, 8u}) {
    std::vector<std::atomic<int>> done(100);
    bench::drift::ForEach(done.size(), threads, [&](std::size_t i) { ++done[i]; });
    for (const std::atomic<int>& times : done) EXPECT_EQ(times, 1);
  }
  bench::drift::ForEach(0, 2, [](std::size_t) { FAIL(); });
}

}  // namespace
