// Explain: what an alarm means, in words a person can read, with the figures beside them.
//
// The alarm says "something is different". Explain walks back along the history (history.h) and
// asks at each sample: if the change had come just before this one, how much better would a new
// normal explain what followed than the old one? What speaks for each says where the change point
// lies, and within which interval with 95 %. What followed is then looked at more closely: which
// signals and classes carry it, how far they moved, whether at once or by and by, and which of a
// few kinds of change it looks most like.
//
// A pure function of what it is given: no clock, no state, same input, same answer. It allocates
// and costs some microseconds a sample of the history: for the control thread, not the frame path.
//
// The walk is Bayes' answer to a change at an unknown time (Chernoff and Zacks 1964, Annals of
// Mathematical Statistics 35:3; Smith 1975, Biometrika 62:2), two-sided: a new level, one reached
// by and by, or, where the new normal is no mere shift (a spread, a part of the samples, a
// category), a histogram of the ranks.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tinylcm/drift/channel_shift.h"
#include "tinylcm/drift/history.h"
#include "tinylcm/drift/sample.h"

namespace tinylcm::drift {

// What a change looks like. Name() gives the word used in events: docs/formats/drift_event.md.
enum class DriftKind : std::uint8_t {
  kAbrupt,       // From one sample to the next.
  kGradual,      // By and by: a ramp explains it better than a step.
  kClassMix,     // Other classes come, or as often as never before; within a class all is usual.
  kUnseenClass,  // A part of the samples lies far from all examples, the rest is as before.
  kSensorFault,  // Values are stuck, or lie at an end of their range.
  kNoise,        // Values scatter more, about the same means.
  kUnknown,      // Too little was seen to tell.
};
const char* Name(DriftKind kind);

// What changed, as far as it can be told without labels.
struct DriftExplanation {
  struct SignalShare {
    Signal signal = Signal::kAnchorDistance;
    double share = 0.0;  // Of the evidence; all shares add up to 1.
    // How far it moved since the change, in the usual standard deviations of its class (of the
    // samples that carry the change); nullopt for a category.
    std::optional<double> shift_sigma = {};
  };
  struct ClassShare {
    std::uint16_t label = 0;
    double share = 0.0;  // Of the evidence; all shares add up to 1.
  };

  std::uint64_t sample_index = 0;  // Where the alarm was raised.
  std::uint64_t change_index = 0;  // The best guess at the first changed sample ...
  std::uint64_t change_first = 0;  // ... and between which two it lies, both included.
  std::uint64_t change_last = 0;
  // The history begins after the change did, or may have: change_first is only the oldest sample
  // that is still known.
  bool change_is_older = false;
  DriftKind kind = DriftKind::kUnknown;
  // How far the leading signal moved, >= 0, in the usual standard deviations of its class; of a
  // category, the shift of a normal number that would be as easy to see.
  double sigma = 0.0;
  std::optional<double> log10_e;       // Of the evidence: 6 is one in a million.
  std::vector<SignalShare> signals;    // Largest share first.
  std::vector<ClassShare> classes;     // By predicted class, largest share first.
  std::vector<MovedChannel> channels;  // Largest shift first; only those that moved beyond chance.
  std::vector<std::uint32_t> stuck;    // Channels that stand still although they used to move.
  std::uint64_t samples = 0;           // On how many samples since the change this rests.
  std::string text;                    // One sentence for a person.
};

// What the long memory (factory_watch.h) raised an alarm for: too slow a change for the live
// reference, which has learned along.
struct SlowChange {
  Signal signal = Signal::kAnchorDistance;
  double shift_sigma = 0.0;       // Against the first days here, in usual standard deviations.
  std::uint64_t begin_index = 0;  // Since when it has added up.
};

struct ExplanationInputs {
  const History* history = nullptr;  // REQUIRED. Up to now, the samples after the alarm included.
  std::uint64_t alarm_index = 0;
  // Of the evidence at the alarm, >= 0; need not add up to 1. All 0: as the history tells.
  std::array<double, kSignals> signal_shares{};
  std::span<const double> class_shares{};  // One a class, or none.
  std::optional<SlowChange> slow{};        // Where that is what raised the alarm.
  ChannelFindings channels{};
  std::optional<double> log10_e{};
  // For the text; numbers where there are none.
  std::span<const std::string> labels{};
  std::span<const std::string> channel_names{};
  std::string_view samples_noun = "samples";  // "frames", "rows".
};

DriftExplanation Explain(const ExplanationInputs& inputs);

}  // namespace tinylcm::drift
