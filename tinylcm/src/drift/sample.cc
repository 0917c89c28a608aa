#include "tinylcm/drift/sample.h"

namespace tinylcm::drift {

namespace {

constexpr std::array<const char*, kSignals> kNames = {
    "anchor_distance", "margin",    "entropy",    "centroid_distance",
    "quant_tree",      "class_mix", "brightness", "sharpness",
    "saturation",      "stuck",     "rail"};

}  // namespace

const char* Name(Signal signal) { return kNames[At(signal)]; }

std::optional<Signal> ParseSignal(std::string_view name) {
  for (std::size_t i = 0; i < kSignals; ++i) {
    if (name == kNames[i]) return static_cast<Signal>(i);
  }
  return std::nullopt;
}

}  // namespace tinylcm::drift
