// SensorArray: the same digits as an array of 8x8 sensors reads them: 64 channels, full scale 1,
// each with a little noise (sd .05). Its drift is a readout block that aged: rows 2 and 3 of the
// array.

#pragma once

#include <array>
#include <cstdint>
#include <string>

#include "tools/tinyscene/digits.h"
#include "tools/tinyscene/drifts.h"

namespace tinyscene {

inline constexpr int kAgedFirst = 16;  // The first channel of the block that ages,
inline constexpr int kAgedLast = 31;   // and the last.

// A pure function of its arguments.
std::array<float, kDigitCells> ReadArray(std::uint64_t seed, std::uint32_t number,
                                         const Digit& digit, const Drifts& drifts);

// "seq,ch0,...,ch63\n"
std::string RowHeader();
// "17,0.0512,...\n"; four decimals.
std::string RowLine(std::uint32_t number, const std::array<float, kDigitCells>& row);

// The same for labelled material: "ch0,...,ch63,label\n"; no seq, for it is not a measurement.
std::string LabelledRowHeader();
std::string LabelledRowLine(const std::array<float, kDigitCells>& row, int label);

}  // namespace tinyscene
