#include "tools/tinyscene/sensor_array.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

namespace tinyscene {
namespace {

Digit HalfInk() {
  Digit digit;
  digit.ink.fill(8);
  return digit;
}

TEST(SensorArray, ReadsInkAsAShareOfFullScaleWithALittleNoise) {
  double sum = 0;
  double squares = 0;
  for (std::uint32_t number = 0; number < 500; ++number) {
    for (const float value : ReadArray(1, number, HalfInk(), {})) {
      sum += value - .5;
      squares += (value - .5) * (value - .5);
    }
  }
  const double count = 500 * 64;
  EXPECT_NEAR(sum / count, 0, 5 * .05 / std::sqrt(count));
  EXPECT_NEAR(std::sqrt(squares / count), .05, .001);
}

TEST(SensorArray, AgesChannels16To31Only) {
  const auto fresh = ReadArray(1, 2, HalfInk(), {});
  const auto aged = ReadArray(1, 2, HalfInk(), {.aged = 1});
  const auto half = ReadArray(1, 2, HalfInk(), {.aged = .5});
  for (std::size_t i = 0; i < 64; ++i) {
    if (i >= 16 && i <= 31) {
      EXPECT_NEAR(aged[i], fresh[i] * .3f + 1, 1e-6) << i;
      EXPECT_NEAR(half[i], fresh[i] * .65f + .5f, 1e-6) << i;
    } else {
      EXPECT_EQ(aged[i], fresh[i]) << i;
    }
  }
}

TEST(SensorArray, WritesAHeaderAndAsManyFields) {
  const std::string line = RowLine(3, ReadArray(1, 3, HalfInk(), {}));
  EXPECT_EQ(std::ranges::count(line, ','), 64);
  EXPECT_EQ(std::ranges::count(RowHeader(), ','), 64);
  EXPECT_EQ(RowHeader().substr(0, 12), "seq,ch0,ch1,");
  EXPECT_EQ(line.substr(0, 2), "3,");
  EXPECT_TRUE(LabelledRowHeader().ends_with(",ch63,label\n"));
  EXPECT_TRUE(LabelledRowLine(ReadArray(1, 3, HalfInk(), {}), 9).ends_with(",9\n"));
}

}  // namespace
}  // namespace tinyscene
