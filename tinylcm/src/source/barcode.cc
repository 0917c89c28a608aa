#include "tinylcm/source/barcode.h"

namespace tinylcm::source {

namespace {

constexpr int kHeight = 120;
constexpr int kCell = 8;
constexpr int kRows = kHeight / kCell;
constexpr int kColumns[] = {0, 8, 144, 152};

std::uint16_t Crc16(std::uint32_t number) {
  std::uint16_t crc = 0xffff;
  for (int byte = 0; byte < 4; ++byte) {
    crc = static_cast<std::uint16_t>(crc ^ ((number >> (8 * byte) & 0xff) << 8));
    for (int bit = 0; bit < 8; ++bit) {
      crc = static_cast<std::uint16_t>((crc & 0x8000) != 0 ? (crc << 1) ^ 0x1021 : crc << 1);
    }
  }
  return crc;
}

// JPEG smears a cell's edges, so only its inner 4x4 pixels are asked, and of them green, which is
// the second byte whichever the order of colours.
template <typename Frame>
bool IsWhite(const Frame& frame, int left, int top) {
  int sum = 0;
  for (int y = top + 2; y < top + 6; ++y) {
    for (int x = left + 2; x < left + 6; ++x) sum += frame.At(x, y)[1];
  }
  return sum >= 128 * 16;
}

template <typename Frame>
std::optional<std::uint32_t> Read(const Frame& frame) {
  if (!MayHaveBarcode(frame.width, frame.height)) return std::nullopt;
  std::uint64_t bits = 0;
  for (int cell = 0; cell < 48; ++cell) {
    if (IsWhite(frame, kColumns[cell / kRows], cell % kRows * kCell)) {
      bits |= std::uint64_t{1} << cell;
    }
  }
  const auto number = static_cast<std::uint32_t>(bits & 0xffffffffu);
  if (Crc16(number) != static_cast<std::uint16_t>(bits >> 32 & 0xffff)) return std::nullopt;
  return number;
}

}  // namespace

std::optional<std::uint32_t> ReadBarcode(const Image& frame) { return Read(frame); }
std::optional<std::uint32_t> ReadBarcode(const Pixels& frame) { return Read(frame); }

}  // namespace tinylcm::source
