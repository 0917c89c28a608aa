#include "tinysphere/access/attempt_limiter.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace tinysphere::access {
namespace {

using base::Duration;

constexpr base::Time kNow = tests::FakeClock::kStart;

TEST(AttemptLimiter, AllowsItsTriesAndThenMakesOneWait) {
  AttemptLimiter limiter({.tries = 3, .refill = Duration(1000)});
  for (int i = 0; i < 3; ++i) EXPECT_EQ(limiter.Take("ann", kNow), Duration(0));
  EXPECT_EQ(limiter.Take("ann", kNow), Duration(1000));
  // Asking in vain costs nothing: after half the time, half is left.
  EXPECT_EQ(limiter.Take("ann", kNow + Duration(500)), Duration(500));
  EXPECT_EQ(limiter.Take("ann", kNow + Duration(1000)), Duration(0));
  EXPECT_EQ(limiter.Take("ann", kNow + Duration(1000)), Duration(1000));
}

TEST(AttemptLimiter, KeepsKeysApart) {
  AttemptLimiter limiter({.tries = 1, .refill = Duration(1000)});
  EXPECT_EQ(limiter.Take("ann", kNow), Duration(0));
  EXPECT_EQ(limiter.Take("ben", kNow), Duration(0));
}

TEST(AttemptLimiter, FillsUpToItsTriesAndNoFurther) {
  AttemptLimiter limiter({.tries = 2, .refill = Duration(1000)});
  EXPECT_EQ(limiter.Take("ann", kNow), Duration(0));
  const base::Time later = kNow + std::chrono::hours(24);
  EXPECT_EQ(limiter.Take("ann", later), Duration(0));
  EXPECT_EQ(limiter.Take("ann", later), Duration(0));
  EXPECT_EQ(limiter.Take("ann", later), Duration(1000));
}

TEST(AttemptLimiter, GivesAllTriesBackAfterARightPassword) {
  AttemptLimiter limiter({.tries = 1, .refill = Duration(1000)});
  EXPECT_EQ(limiter.Take("ann", kNow), Duration(0));
  limiter.Forgive("ann");
  EXPECT_EQ(limiter.Take("ann", kNow), Duration(0));
}

TEST(AttemptLimiter, LocksNobodyOutWhenTheClockJumpsBack) {
  AttemptLimiter limiter({.tries = 1, .refill = Duration(1000)});
  EXPECT_EQ(limiter.Take("ann", kNow), Duration(0));
  EXPECT_EQ(limiter.Take("ann", kNow - std::chrono::hours(24)), Duration(1000));
}

TEST(AttemptLimiter, ForgetsTheOldestWhenItIsFull) {
  AttemptLimiter limiter({.tries = 1, .refill = Duration(60'000), .keys_max = 2});
  EXPECT_EQ(limiter.Take("ann", kNow), Duration(0));
  EXPECT_EQ(limiter.Take("ben", kNow + Duration(1)), Duration(0));
  EXPECT_EQ(limiter.Take("cal", kNow + Duration(2)), Duration(0));
  EXPECT_GT(limiter.Take("ben", kNow + Duration(3)), Duration(0));
  EXPECT_EQ(limiter.Take("ann", kNow + Duration(4)), Duration(0));
}

}  // namespace
}  // namespace tinysphere::access
