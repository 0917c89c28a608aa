// Barcode: the frame number that the test camera (tools/tinyscene) draws beside its picture.
//
// 60 black or white cells of 8x8 pixels outside the centred square of a 160x120 frame: two columns
// of 15 on the left (x 0..15) and two on the right (x 144..159). Bit i of (number | crc << 32) is
// cell i, LSB first; cells go left strip column 0 top to bottom, left column 1, right column 0,
// right column 1. 32 bits number, 16 bits CRC-16/CCITT-FALSE (polynomial 0x1021, start 0xffff) of
// its four bytes, little endian; 12 cells are unused and black.

#pragma once

#include <cstdint>
#include <optional>

#include "tinylcm/source/image.h"

namespace tinylcm::source {

// nullopt unless the frame is 160x120 and the CRC holds.
std::optional<std::uint32_t> ReadBarcode(const Image& frame);
std::optional<std::uint32_t> ReadBarcode(const Pixels& frame);

inline bool MayHaveBarcode(int width, int height) { return width == 160 && height == 120; }

}  // namespace tinylcm::source
