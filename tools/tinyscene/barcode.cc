#include "tools/tinyscene/barcode.h"

#include <algorithm>
#include <cstddef>

#include "base/check.h"

namespace tinyscene {
namespace {

constexpr int kCell = 8;
constexpr int kRows = kFrameHeight / kCell;
constexpr int kColumnStarts[] = {0, kCell, kFrameWidth - 2 * kCell, kFrameWidth - kCell};

}  // namespace

std::uint16_t Crc16CcittFalse(std::span<const std::uint8_t> bytes) {
  unsigned crc = 0xffff;
  for (const std::uint8_t byte : bytes) {
    crc ^= static_cast<unsigned>(byte) << 8;
    for (int bit = 0; bit < 8; ++bit) {
      crc = (crc & 0x8000u) != 0 ? (crc << 1) ^ 0x1021u : crc << 1;
    }
    crc &= 0xffffu;
  }
  return static_cast<std::uint16_t>(crc);
}

std::array<bool, 60> BarcodeCells(std::uint32_t number) {
  std::array<std::uint8_t, 4> bytes;
  for (std::size_t i = 0; i < 4; ++i) bytes[i] = static_cast<std::uint8_t>(number >> (8 * i));
  const std::uint64_t bits = number | std::uint64_t{Crc16CcittFalse(bytes)} << 32;
  std::array<bool, 60> cells{};
  for (std::size_t i = 0; i < 48; ++i) cells[i] = ((bits >> i) & 1) != 0;
  return cells;
}

void DrawBarcode(std::uint32_t number, std::span<std::uint8_t> rgb) {
  CHECK(rgb.size() == std::size_t{3} * kFrameWidth * kFrameHeight);
  const std::array<bool, 60> cells = BarcodeCells(number);
  std::size_t cell = 0;
  for (const int left : kColumnStarts) {
    for (int row = 0; row < kRows; ++row, ++cell) {
      const std::uint8_t value = cells[cell] ? 255 : 0;
      for (int y = row * kCell; y < (row + 1) * kCell; ++y) {
        std::uint8_t* first = rgb.data() + 3 * (y * kFrameWidth + left);
        std::fill(first, first + 3 * kCell, value);
      }
    }
  }
}

}  // namespace tinyscene
