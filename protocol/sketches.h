// Sketches: what a stream looked like, in counts and moments, without one of its samples.
//
// Think of tally sheets: for each predicted class how often it was said, in which place each signal
// ranked among the bundle's held-out values, and the mean and spread of its features. Sheets of two
// hours, or of two devices with the same bundle, add up to one that is the same as if a single
// device had seen it all; so a fleet's picture costs a few kilobytes a device, and no sample leaves
// it. docs/formats/sketches.md.
//
// Chan, Golub, LeVeque, "Updating formulae and a pairwise algorithm for computing sample variances"
// (1979), for the moments.

#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"

namespace protocol {

inline constexpr std::string_view kSketchesFormat = "tinylcm-sketches/1";
inline constexpr std::string_view kSketchesPath = "sketches.safetensors";

struct Sketches {
  struct Ranks {
    std::string signal;  // "anchor_distance", ...
    // [classes][bins]: bin i of a class counts values above its i-th held-out value, at most the
    // next; one bin where the bundle holds none.
    std::vector<std::vector<std::int64_t>> counts;
    friend bool operator==(const Ranks&, const Ranks&) = default;
  };

  std::string bundle;             // Whose classes, held-out values and features these are.
  std::uint64_t first_index = 0;  // Of the inferences counted; both 0 for none.
  std::uint64_t last_index = 0;
  std::vector<std::int64_t> samples;  // [classes], by prediction.
  std::vector<Ranks> ranks;           // One a signal.
  std::size_t dims = 0;               // Of a feature.
  std::vector<float> feature_mean;    // [classes, dims]
  std::vector<float> feature_m2;      // [classes, dims]: summed squared deviations.

  std::int64_t total() const;
  friend bool operator==(const Sketches&, const Sketches&) = default;
};

base::Bytes WriteSketches(const Sketches& sketches);
// kUnsupported for another format, kCorrupt or kInvalidArgument naming the tensor otherwise.
base::Result<Sketches> ParseSketches(base::ByteView file);

// Adds `other` to `into`. kInvalidArgument, and nothing changed, unless both are of one bundle and
// shape.
base::Status Merge(const Sketches& other, Sketches& into);

}  // namespace protocol
