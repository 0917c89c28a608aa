// Experiment: one deal of one stream, adapted on by the device and by two ways that are not to be
// recommended, and scored before, between and after.

#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "bench/adapt/device.h"
#include "bench/adapt/streams.h"

namespace bench::adapt {

struct Outcome {
  std::uint64_t seed = 0;
  double before = 0.0;        // As if nothing had changed.
  double nothing = 0.0;       // Changed, no adaptation.
  double unlabelled = 0.0;    // What the device does by itself.
  double after = 0.0;         // And with labels.
  double blind = 0.0;         // Mean and variance of what was collected, matched to the anchors'.
  double self_trained = 0.0;  // 200 neighbours, a first-in-first-out of its own predictions.
  double known_before = 0.0;  // Of the classes the bundle has, for a stream with a novel one.
  double known_after = 0.0;
  double recall = 0.0;     // Of the novel class.
  std::string input;       // "flat_field"
  std::string challenger;  // "mean+propagated"
  std::string state_unlabelled;
  std::string state;
  std::uint64_t served_unlabelled = 0;  // Adaptations that went into service without a label.
  std::uint64_t rollbacks = 0;
  std::size_t labels = 0;
  bool alarm_was_forced = false;
  std::string log;  // What the state machine did and why, a line a step.
  double seconds = 0.0;
};

struct Plan {
  std::uint32_t labels = 24;  // 0: nobody answers.
  bool baselines = true;
};
base::Result<Outcome> Run(const Stream& stream, std::uint64_t seed, const Plan& plan);

// Steps of the above, for experiments that go on differently.

// Commissions on the quiet samples.
base::Status GetUsed(Device& device, const Deal& deal);
// Shows changed samples until labels are asked for or `most` were shown; returns how many were.
struct Collected {
  std::size_t shown = 0;
  bool was_forced = false;
};
base::Result<Collected> Collect(Device& device, const Deal& deal, std::uint32_t force_after,
                                std::size_t most);

}  // namespace bench::adapt
