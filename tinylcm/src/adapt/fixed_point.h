// The fixed point of a picture's correction: gains in 1/4096, offsets in 1/16 of a grey level.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tinylcm::adapt {

inline constexpr int kGainBits = 12;
inline constexpr int kOffsetBits = 4;

inline std::uint16_t FixedGain(double gain) {
  return static_cast<std::uint16_t>(std::clamp(std::lround(gain * (1 << kGainBits)), 0l, 65535l));
}

inline std::int16_t FixedOffset(double offset) {
  return static_cast<std::int16_t>(
      std::clamp(std::lround(offset * (1 << kOffsetBits)), -32768l, 32767l));
}

inline std::uint8_t Corrected(std::uint8_t pixel, std::uint16_t gain, std::int16_t offset) {
  const std::int32_t value = std::int32_t{pixel} * gain +
                             offset * (1 << (kGainBits - kOffsetBits)) + (1 << (kGainBits - 1));
  return static_cast<std::uint8_t>(std::clamp(value >> kGainBits, 0, 255));
}

}  // namespace tinylcm::adapt
