// Bundle swap: what it takes for another bundle to take over, and to stay.
//
// Before: the new bundle takes the same kind of input, and what was adapted goes over as far as it
// still holds under the new model. After: the old one goes on in the shadow for some frames; the
// new one stays if it agrees with it often enough, is about as sure, and knows its canary as well.

#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/result.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/adapt/quarantine.h"
#include "tinylcm/model/bundle.h"
#include "tinylcm/pipeline/serving.h"

namespace tinylcm::pipeline {

// kUnsupported, in words, where `next` cannot take over from `running`.
base::Status CheckSwap(const model::ModelBundle& running, const model::ModelBundle& next);

// What of `served` holds under the new bundle. `bench`: the new bundle alone; `quarantine`: the
// samples to judge by. `seed` deals the labels into folds. A bundle that was taught brings its own
// adaptation, which then is what is carried (pipeline/taught.h).
base::Result<adapt::Carried> CarryOver(Serving& bench, const adapt::Adaptation& served,
                                       const adapt::Quarantine& quarantine, std::uint64_t seed);

// Watches a new bundle beside the old one.
class HealthWatch {
 public:
  struct Verdict {
    bool is_healthy = true;
    std::string detail;  // Why not.
  };

  // What is asked of the new one beside that it knows its canary. Of one model taught differently
  // (AskedOf) answers are meant to differ.
  struct Asks {
    bool agreement = true;
    bool confidence = true;
  };

  // `frames`: after so many the verdict is given.
  HealthWatch(std::uint32_t frames, double old_canary, double new_canary, Asks asks)
      : wanted_(frames), old_canary_(old_canary), new_canary_(new_canary), asks_(asks) {}

  // One frame as both answered it; the verdict once there is one.
  std::optional<Verdict> Add(bool agrees, double new_confidence, double old_confidence);

  std::uint32_t frames() const { return frames_; }
  double agreement() const;  // Share of frames; 0 before the first.

 private:
  std::uint32_t wanted_;
  std::uint32_t frames_ = 0;
  std::uint32_t agreed_ = 0;
  double confidence_new_ = 0.0;  // Sums.
  double confidence_old_ = 0.0;
  double old_canary_;
  double new_canary_;
  Asks asks_;
};

// A bundle and what was taught on top of it are one model: where the world has drifted they
// disagree, or nobody would have taught it. From the plain one to the taught one confidence must
// not fall; the way back is a person's decision, who knows that it may.
HealthWatch::Asks AskedOf(const model::ModelBundle& running, const model::ModelBundle& next);

}  // namespace tinylcm::pipeline
