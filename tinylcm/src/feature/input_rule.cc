#include "tinylcm/feature/input_rule.h"

#include "base/text.h"

namespace tinylcm::feature {

using base::Error;
using base::ErrorCode;

const char* Name(InputRule::Channels channels) {
  switch (channels) {
    case InputRule::Channels::kRgb:
      return "rgb";
    case InputRule::Channels::kBgr:
      return "bgr";
    case InputRule::Channels::kGray:
      return "gray";
  }
  return "";
}

const char* Name(InputRule::Scale scale) {
  switch (scale) {
    case InputRule::Scale::kUint8:
      return "uint8";
    case InputRule::Scale::kUnit:
      return "unit";
    case InputRule::Scale::kSymmetric:
      return "symmetric";
    case InputRule::Scale::kMeanDeviation:
      return "mean_deviation";
  }
  return "";
}

base::Result<InputRule::Channels> ParseChannels(std::string_view name) {
  using enum InputRule::Channels;
  for (const auto channels : {kRgb, kBgr, kGray}) {
    if (name == Name(channels)) return channels;
  }
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat("channels \"", name, "\": expected rgb, bgr or gray")};
}

base::Result<InputRule::Scale> ParseScale(std::string_view name) {
  using enum InputRule::Scale;
  for (const auto scale : {kUint8, kUnit, kSymmetric, kMeanDeviation}) {
    if (name == Name(scale)) return scale;
  }
  return Error{
      ErrorCode::kInvalidArgument,
      base::StrCat("scale \"", name, "\": expected uint8, unit, symmetric or mean_deviation")};
}

}  // namespace tinylcm::feature
