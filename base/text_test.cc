#include "base/text.h"

#include <gtest/gtest.h>

#include <limits>

namespace base {
namespace {

TEST(StrCat, PutsTextsAndNumbersTogether) {
  EXPECT_EQ(StrCat("frame ", 41, ": ", 0.5, ' ', true), "frame 41: 0.5 true");
}

TEST(FormatDouble, GivesTheShortestTextThatReadsBack) {
  EXPECT_EQ(FormatDouble(0.1), "0.1");
  for (const double value : {1.0 / 3.0, 1e300, -0.0, std::numeric_limits<double>::denorm_min()}) {
    EXPECT_EQ(ParseDouble(FormatDouble(value)).value(), value);
  }
}

TEST(ParseDouble, TakesTheWholeTextOrNothing) {
  EXPECT_EQ(ParseDouble("-1.5e3").value(), -1500.0);
  for (const char* text : {"", " 1", "1 ", "1x", "nan", "inf", "1e999", "0x10"}) {
    EXPECT_FALSE(ParseDouble(text).ok()) << text;
  }
}

TEST(ParseInt, TakesTheWholeTextOrNothing) {
  EXPECT_EQ(ParseInt("-42").value(), -42);
  for (const char* text : {"", "4.2", "9223372036854775808", "1 "}) {
    EXPECT_FALSE(ParseInt(text).ok()) << text;
  }
}

TEST(Duration, IsReadWithItsUnitAndRefusedWithout) {
  using std::chrono::milliseconds;
  EXPECT_EQ(ParseDuration("250ms").value(), milliseconds(250));
  EXPECT_EQ(ParseDuration("1.5s").value(), milliseconds(1500));
  EXPECT_EQ(ParseDuration("30d").value(), milliseconds(30ll * 86'400'000));
  for (const char* text : {"", "30", "s", "-1s", "1 h", "1w", "1e9d", "1..5s"}) {
    EXPECT_FALSE(ParseDuration(text).ok()) << text;
  }
}

TEST(Duration, IsWrittenInTheLargestUnitThatFits) {
  using std::chrono::milliseconds;
  EXPECT_EQ(FormatDuration(milliseconds(0)), "0ms");
  EXPECT_EQ(FormatDuration(milliseconds(1500)), "1500ms");
  EXPECT_EQ(FormatDuration(milliseconds(3'600'000)), "1h");
}

TEST(ByteCount, KnowsBinaryAndDecimalUnits) {
  EXPECT_EQ(ParseByteCount("4096").value(), 4096u);
  EXPECT_EQ(ParseByteCount("64MiB").value(), 64u << 20);
  EXPECT_EQ(ParseByteCount("64MB").value(), 64'000'000u);
  for (const char* text : {"", "MiB", "-1", "1 KiB", "1kib", "99999999999GiB"}) {
    EXPECT_FALSE(ParseByteCount(text).ok()) << text;
  }
}

TEST(Split, KeepsEmptyParts) {
  EXPECT_EQ(Split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(Split("", ','), (std::vector<std::string_view>{""}));
}

TEST(Trim, TakesWhiteSpaceOffBothEnds) { EXPECT_EQ(Trim(" \ta b\r\n"), "a b"); }

TEST(Text, NumbersForPeopleHaveThreeDigits) {
  EXPECT_EQ(FormatShort(0.3329381413712331), "0.333");
  EXPECT_EQ(FormatShort(17.94), "17.9");
  EXPECT_EQ(FormatShort(1.0), "1");
}

}  // namespace
}  // namespace base
