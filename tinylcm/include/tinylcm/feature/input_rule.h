// InputRule: how a picture's numbers, 0 to 255, are put to a model. Stated in the bundle, so that
// what was fitted is what is run.
//
// A model wants one of a few things: the numbers as they are, 0 to 1, -1 to 1, or "less the mean,
// by the deviation", with the colours in one order or the other, or only one of them. And its
// tensor may be quantised besides. All of that is a function of one byte a channel: three tables
// of 256 entries, made once.

#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "base/result.h"

namespace tinylcm::feature {

struct InputRule {
  enum class Channels {
    kRgb,
    kBgr,
    kGray,  // One channel: (77 R + 150 G + 29 B + 128) / 256.
  };
  enum class Scale {
    kUint8,      // The pixel's number as it is stored: 0..255; an int8 tensor takes it less 128.
    kUnit,       // 0 to 1: number / 255.
    kSymmetric,  // -1 to 1: number / 127.5 - 1.
    kMeanDeviation,  // (number / 255 - mean) / deviation, channel by channel in the model's order.
  };
  Channels channels = Channels::kRgb;
  Scale scale = Scale::kUint8;
  std::array<float, 3> mean = {0.0f, 0.0f, 0.0f};
  std::array<float, 3> deviation = {1.0f, 1.0f, 1.0f};

  friend bool operator==(const InputRule&, const InputRule&) = default;
};

const char* Name(InputRule::Channels channels);  // "rgb", "bgr", "gray"
const char* Name(InputRule::Scale scale);        // "uint8", "unit", "symmetric", "mean_deviation"
base::Result<InputRule::Channels> ParseChannels(std::string_view name);
base::Result<InputRule::Scale> ParseScale(std::string_view name);

}  // namespace tinylcm::feature
