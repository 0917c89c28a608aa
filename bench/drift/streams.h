// Streams: numbers with a known law, drawn from a seed, that change when they are told to.
//
// A stream is a little world: classes at their own levels, in any order or in spells of two at a
// time, and for each sample some signals. Behind each signal stands a standard normal number
// (independent, or with the one before it, or with the other signals); the law only stretches it,
// so a shift of one standard deviation is the same shift under every law.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/random.h"
#include "tinylcm/drift/sample.h"

namespace bench::drift {

enum class Law { kNormal, kLogNormal, kStudent3, kSixLevels };
const char* Name(Law law);

struct World {
  Law law = Law::kNormal;
  std::uint32_t classes = 1;
  bool blocks = false;        // 200 samples of two classes, then of two others.
  double correlation = 0.0;   // Of a signal with itself one sample ago, AR(1).
  std::uint32_t signals = 1;  // 1 to 4: anchor distance, margin, entropy, centroid distance.
  double together = 0.0;      // Correlation between any two signals.
  bool class_mix = false;     // The predicted class as a signal, too.
};
tinylcm::drift::SignalMask MaskOf(const World& world);

// Not thread-safe; the same seed gives the same samples.
class Stream {
 public:
  Stream(const World& world, std::uint64_t seed) : world_(world), random_(seed) {}

  // The next sample. `shift` standard deviations are added to the first signal, of all samples or
  // of `share` of them.
  const tinylcm::drift::Sample& Next(double shift = 0.0, double share = 1.0);

  base::Random& random() { return random_; }

 private:
  World world_;
  base::Random random_;
  tinylcm::drift::Sample sample_;
  std::uint64_t next_ = 0;
  std::uint64_t pair_[2] = {0, 0};
  double before_[4] = {0.0, 0.0, 0.0, 0.0};
};

// Real digits (8x8 pixels, examples/digits) as a device sees them: half of them are known (thirty
// of a class as anchors), the others come by, each with fresh noise, and what is watched is the
// mean distance to the five nearest anchors.
class Digits {
 public:
  enum class Change { kNone, kNoise, kDimming, kRotation, kInverted };
  static const char* Name(Change change);
  static constexpr std::uint32_t kClasses = 10;

  Digits(std::uint64_t seed, bool blocks);
  ~Digits();
  Digits(Digits&&) noexcept;

  // `share` of the samples show the change.
  const tinylcm::drift::Sample& Next(Change change = Change::kNone, double share = 1.0);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bench::drift
