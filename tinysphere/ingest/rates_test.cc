#include "tinysphere/ingest/rates.h"

#include <gtest/gtest.h>

#include "base/text.h"

namespace tinysphere::ingest {
namespace {

using base::Duration;

constexpr RateOptions kRates{
    .requests = 3, .requests_a_second = 2, .bytes = 1000, .bytes_a_second = 100, .devices_max = 4};

TEST(Rates, LetARequestPassEveryHalfSecondOnceTheBucketIsEmpty) {
  Rates rates(kRates);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rates.Take("cam", 0, Duration(0)), Duration(0));
  // Two a second: the next is there after 500 ms, and asking in vain costs nothing.
  EXPECT_EQ(rates.Take("cam", 0, Duration(0)), Duration(500));
  EXPECT_EQ(rates.Take("cam", 0, Duration(200)), Duration(300));
  EXPECT_EQ(rates.Take("cam", 0, Duration(500)), Duration(0));
  EXPECT_EQ(rates.Take("cam", 0, Duration(500)), Duration(500));
}

TEST(Rates, CountBytesToo) {
  Rates rates(kRates);
  EXPECT_EQ(rates.Take("cam", 900, Duration(0)), Duration(0));
  // 100 are left, 300 are wanted, 100 come a second: two seconds.
  EXPECT_EQ(rates.Take("cam", 300, Duration(0)), Duration(2000));
  EXPECT_EQ(rates.Take("cam", 300, Duration(2000)), Duration(0));
}

TEST(Rates, LetABodyPassThatIsLargerThanAFullBucketAndThenWaitLonger) {
  Rates rates(kRates);
  EXPECT_EQ(rates.Take("cam", 1500, Duration(0)), Duration(0));
  // 500 below empty; one byte more is there after 5.01 s.
  EXPECT_EQ(rates.Take("cam", 1, Duration(0)), Duration(5010));
}

TEST(Rates, KeepDevicesApart) {
  Rates rates(kRates);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rates.Take("one", 0, Duration(0)), Duration(0));
  EXPECT_GT(rates.Take("one", 0, Duration(0)), Duration(0));
  EXPECT_EQ(rates.Take("other", 0, Duration(0)), Duration(0));
}

TEST(Rates, HoldABoundedNumberOfDevicesAndForgetThoseThatRestedFirst) {
  Rates rates(kRates);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(rates.Take("busy", 0, Duration(9'000)), Duration(0));
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(rates.Take(base::StrCat("rested-", i), 0, Duration(0)), Duration(0));
  }
  // The fifth device: those at rest since 10 s are full again and go, the busy one stays known.
  EXPECT_EQ(rates.Take("new", 0, Duration(10'000)), Duration(0));
  EXPECT_EQ(rates.Take("busy", 0, Duration(10'000)), Duration(0));  // 2 came back in 1 s.
  EXPECT_EQ(rates.Take("busy", 0, Duration(10'000)), Duration(0));
  EXPECT_GT(rates.Take("busy", 0, Duration(10'000)), Duration(0));
}

}  // namespace
}  // namespace tinysphere::ingest
