#include "base/clock.h"

#include <gtest/gtest.h>

#include "tests/support/fake_clock.h"

namespace base {
namespace {

TEST(Time, IsWrittenAsRfc3339InUtcWithMilliseconds) {
  EXPECT_EQ(FormatTime(Time{}), "1970-01-01T00:00:00.000Z");
  EXPECT_EQ(FormatTime(tests::FakeClock::kStart), "2026-11-20T12:00:00.000Z");
  EXPECT_EQ(FormatTime(Time(Duration(-1))), "1969-12-31T23:59:59.999Z");
}

TEST(Time, ReadsWhatItWrote) {
  const Time time = tests::FakeClock::kStart + Duration(123);
  EXPECT_EQ(ParseTime(FormatTime(time)).value(), time);
}

TEST(Time, ReadsOtherOffsetsAndFractions) {
  const Time noon = tests::FakeClock::kStart;
  EXPECT_EQ(ParseTime("2026-11-20T12:00:00Z").value(), noon);
  EXPECT_EQ(ParseTime("2026-11-20T13:30:00+01:30").value(), noon);
  EXPECT_EQ(ParseTime("2026-11-20T12:00:00.123987Z").value(), noon + Duration(123));
}

TEST(Time, RefusesWhatIsNoTime) {
  for (const char* text : {"", "2026-11-20", "2026-13-20T12:00:00Z", "2026-02-30T12:00:00Z",
                           "2026-11-20T25:00:00Z", "2026-11-20T12:00:00", "2026-11-20 12:00:00Z",
                           "2026-11-20T12:00:00Zjunk", "2026-11-20T12:00:00.Z"}) {
    EXPECT_FALSE(ParseTime(text).ok()) << text;
  }
}

TEST(SystemClock, NeverRunsBackwards) {
  const Duration before = SystemClock().Uptime();
  SystemClock().SleepUntil(before + Duration(2));
  EXPECT_GE(SystemClock().Uptime(), before + Duration(2));
}

TEST(FakeClock, MovesOnlyWhenToldAndUptimeIgnoresAJump) {
  tests::FakeClock clock;
  clock.Advance(std::chrono::seconds(1));
  EXPECT_EQ(clock.Now(), tests::FakeClock::kStart + std::chrono::seconds(1));
  clock.JumpTo(Time{});
  EXPECT_EQ(clock.Now(), Time{});
  EXPECT_EQ(clock.Uptime(), std::chrono::seconds(1));
}

}  // namespace
}  // namespace base
