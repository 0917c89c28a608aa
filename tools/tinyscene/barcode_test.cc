#include "tools/tinyscene/barcode.h"

#include <gtest/gtest.h>

#include <vector>

#include "base/bytes.h"

namespace tinyscene {
namespace {

TEST(Barcode, UsesTheCrcWhoseCheckValueIs29b1) {
  EXPECT_EQ(Crc16CcittFalse(base::AsBytes("123456789")), 0x29b1);
}

TEST(Barcode, WritesTheNumberThenItsCrcLeastSignificantBitFirst) {
  // 1 is the bytes 01 00 00 00; their CRC is 0xf274 = 1111 0010 0111 0100.
  const std::array<bool, 60> cells = BarcodeCells(1);
  EXPECT_TRUE(cells[0]);
  for (std::size_t i = 1; i < 32; ++i) EXPECT_FALSE(cells[i]) << i;
  const bool crc[] = {false, false, true,  false, true, true, true, false,
                      false, true,  false, false, true, true, true, true};
  for (std::size_t i = 0; i < 16; ++i) EXPECT_EQ(cells[32 + i], crc[i]) << i;
  for (std::size_t i = 48; i < 60; ++i) EXPECT_FALSE(cells[i]) << i;
}

TEST(Barcode, LiesInTheStripsBesideTheCentredSquareOnly) {
  std::vector<std::uint8_t> picture(3 * 160 * 120, 77);
  DrawBarcode(0xffffffff, picture);
  for (std::size_t y = 0; y < 120; ++y) {
    for (std::size_t x = 0; x < 160; ++x) {
      const std::uint8_t value = picture[3 * (y * 160 + x)];
      if (x >= 16 && x < 144) {
        ASSERT_EQ(value, 77) << x << ',' << y;
      } else {
        ASSERT_TRUE(value == 0 || value == 255) << x << ',' << y;
      }
    }
  }
}

TEST(Barcode, GoesDownTheLeftStripAndOnInTheRight) {
  std::vector<std::uint8_t> picture(3 * 160 * 120);
  const auto white = [&picture](std::size_t x, std::size_t y) {
    return picture[3 * (y * 160 + x)] == 255;
  };
  DrawBarcode(1u << 2, picture);  // Cell 2: third of the first column.
  EXPECT_TRUE(white(0, 16));
  EXPECT_TRUE(white(7, 23));
  EXPECT_FALSE(white(0, 0));
  DrawBarcode(1u << 15, picture);  // Cell 15: first of the second column.
  EXPECT_TRUE(white(8, 0));
  DrawBarcode(1u << 30, picture);  // Cell 30: first of the right strip.
  EXPECT_TRUE(white(144, 0));
  EXPECT_FALSE(white(152, 0) && white(152, 8) && white(152, 16) && white(152, 24));
}

}  // namespace
}  // namespace tinyscene
