// Input hypotheses: a closed set of guesses at what happened to the input, each with its undoing.
//
// Less light, a cast, a dirty lens, a camera knocked askew, a sensor that died: the model need not
// be taught any of them if the input can be put right first. Every guess is built from how the
// quarantined samples look beside how they looked at fit time, run through the same model, and
// measured: the right one brings the features back to the anchors. No labels are needed to choose;
// labels, when they come, only veto.
//
//   picture_hypotheses.h, row_hypotheses.h   make the guesses
//   picture_transform.h, row_transform.h     apply one
//   input_search.h                           measures them
//
// Measured: docs/decisions/0003-labels-choose-the-least-invasive-correction.md; from .18-.74 to
// .98-.99 where changing the features reached .82.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tinylcm::adapt {

enum class StepKind : std::uint8_t {
  // Pictures.
  kChannelGain = 1,        // Each colour channel's mean and spread as at fit time.
  kFlatField = 2,          // Each pixel's mean as at fit time, by a gain.
  kFlatFieldContrast = 3,  // Each pixel's mean and spread as at fit time.
  kRotate = 4,
  kHistogramMatch = 5,  // Each colour channel's histogram as at fit time.
  kMedian = 6,          // Of 3 x 3 pixels.
  kGaussian = 7,
  kUnsharp = 8,  // picture + amount * (picture - its blur).
  // Rows.
  kRowGain = 9,  // value * gain + offset, a channel.
  kRepair = 10,  // Dead and stuck channels are told by the others.
};

const char* Name(StepKind kind);  // "channel_gain", "flat_field", ...

// One thing done to an input. Gains and offsets of pictures are kept in the fixed point in which
// they are applied, so what is stored is what is served. What a kind does not name stays empty.
struct InputStep {
  StepKind kind = StepKind::kChannelGain;
  int angle_degrees = 0;  // kRotate: counter-clockwise.
  int sigma_tenths = 0;   // kGaussian, kUnsharp: of a pixel.
  int amount_tenths = 0;  // kUnsharp.
  // pixel * gain / 4096 + offset / 16, one a channel (kChannelGain) or one a byte of the picture.
  std::vector<std::uint16_t> gains = {};
  std::vector<std::int16_t> offsets = {};
  std::vector<std::uint8_t> table = {};  // kHistogramMatch: 256 answers for each of 3 channels.
  // kRepair: channels[i] = base[i] + the sum of weights[i * channels of a row + j] * row[j]; a
  // repaired channel weighs nothing. kRowGain: `base` holds the offsets and `weights` the gains,
  // one a channel, and `channels` is empty.
  std::vector<std::uint16_t> channels = {};
  std::vector<float> base = {};
  std::vector<float> weights = {};

  // "rotate(-20)", "unsharp(2.5)", "flat_field_contrast"; "repair(mean)" where no other channel
  // tells.
  std::string name() const;
  friend bool operator==(const InputStep&, const InputStep&) = default;
};

inline constexpr std::size_t kStepsMax = 2;

// A plain value: all that is needed to put an input right, step after step. None: identity.
struct InputHypothesis {
  std::vector<InputStep> steps;

  static InputHypothesis Of(InputStep step);
  std::string name() const;  // "identity", "rotate(-20) + flat_field".
  bool is_identity() const { return steps.empty(); }
  friend bool operator==(const InputHypothesis&, const InputHypothesis&) = default;
};

}  // namespace tinylcm::adapt
