#include "tools/tinyscene/sensor_array.h"

#include <charconv>
#include <cmath>

#include "base/text.h"
#include "tools/tinyscene/exact_math.h"

namespace tinyscene {
namespace {

constexpr std::uint64_t kRowNoise = 15;
constexpr double kNoiseSd = .05;

void AppendChannels(const std::array<float, kDigitCells>& row, std::string& out) {
  for (std::size_t i = 0; i < row.size(); ++i) {
    if (i > 0) out += ',';
    std::array<char, 32> text;
    const auto end =
        std::to_chars(text.data(), text.data() + text.size(), row[i], std::chars_format::fixed, 4);
    out.append(text.data(), end.ptr);
  }
}

std::string Channels() {
  std::string out;
  for (int i = 0; i < kDigitCells; ++i) out += base::StrCat(i == 0 ? "ch" : ",ch", i);
  return out;
}

}  // namespace

std::array<float, kDigitCells> ReadArray(std::uint64_t seed, std::uint32_t number,
                                         const Digit& digit, const Drifts& drifts) {
  base::Random noise = RandomFor(seed, number, kRowNoise);
  const double gain = 1 - .7 * drifts.aged;
  std::array<float, kDigitCells> row;
  for (int channel = 0; channel < kDigitCells; ++channel) {
    const auto i = static_cast<std::size_t>(channel);
    double value = digit.ink[i] / static_cast<double>(kFullInk) + kNoiseSd * NearlyNormal(noise);
    if (channel >= kAgedFirst && channel <= kAgedLast) value = value * gain + drifts.aged;
    row[i] = static_cast<float>(value);
  }
  return row;
}

std::string RowHeader() { return "seq," + Channels() + "\n"; }

std::string RowLine(std::uint32_t number, const std::array<float, kDigitCells>& row) {
  std::string out = base::StrCat(number, ',');
  AppendChannels(row, out);
  return out + "\n";
}

std::string LabelledRowHeader() { return Channels() + ",label\n"; }

std::string LabelledRowLine(const std::array<float, kDigitCells>& row, int label) {
  std::string out;
  AppendChannels(row, out);
  return out + base::StrCat(',', label, '\n');
}

}  // namespace tinyscene
