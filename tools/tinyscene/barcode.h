// Barcode: the frame's number drawn into the picture, so that whoever receives the frames can tell
// which of them were lost on the way.
//
// Layout. Cells of 8x8 pixels on the picture's own 8x8 grid (so JPEG blocks never straddle two
// cells), white (255) for a 1 bit, black (0) for a 0 bit. Two strips of 2 columns by 15 rows lie
// outside the centred 120x120 square: x < 16 and x >= 144. Order of the 60 cells: left strip,
// column 0 (x = 0..7) top to bottom, column 1 (x = 8..15) top to bottom, then the right strip's
// columns (x = 144..151, x = 152..159) likewise.
// Cells 0..31: the frame number, least significant bit first. Cells 32..47: CRC-16/CCITT-FALSE
// (polynomial 0x1021, start 0xffff, not reflected, no final exclusive-or) of the number's four
// bytes, least significant byte first; the CRC too is written least significant bit first.
// Cells 48..59: black.
//
// Example: number 1 is the bytes 01 00 00 00, whose CRC is 0xf274 (of "123456789": 0x29b1).

#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace tinyscene {

inline constexpr int kFrameWidth = 160;
inline constexpr int kFrameHeight = 120;

std::uint16_t Crc16CcittFalse(std::span<const std::uint8_t> bytes);

// The 60 cells in the order above; true is white.
std::array<bool, 60> BarcodeCells(std::uint32_t number);

// Draws into an RGB picture, 3 bytes a pixel, row by row. REQUIRES: it is 160x120.
void DrawBarcode(std::uint32_t number, std::span<std::uint8_t> rgb);

}  // namespace tinyscene
