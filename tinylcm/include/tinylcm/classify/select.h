// Select: the few least of many numbers, without sorting.
//
// Sixteen runners each keep the least number of every sixteenth place. The k-th least of the
// runners is a limit that at least k numbers reach, and few more: one more pass picks those out,
// and only they need to be put in order. Two passes over numbers that still lie in the nearest
// cache, no branch a number.

#pragma once

#include <cstddef>
#include <cstdint>

namespace tinylcm::classify {

// At least k of the values are not above what this returns (+infinity among them counts).
// REQUIRES: count is a multiple of 16 and > 0, 1 <= k <= 16; no value is NaN.
float LimitOfLeast(const float* values, std::size_t count, std::size_t k);

// Writes the places of values that are not above `limit`, ascending; returns how many there are.
// REQUIRES: count is a multiple of 16; `places` has room for count + 16.
std::size_t NotAbove(const float* values, std::size_t count, float limit, std::uint32_t* places);

}  // namespace tinylcm::classify
