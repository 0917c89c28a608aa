// Concepts: what the stream has been before, and what was served then.
//
// Every winter the sun stands low in the lens, every night the lamp is yellow. What was learned the
// first time need not be learned again: beside each adaptation that was committed lies a handful of
// the samples it was made for. After an alarm the new samples are held against each handful. They
// are recognised where they lie among it as its own samples lie among themselves, and clearly
// nearer to it than to any other, the bundle's own (how the stream was when nothing was wrong)
// among them.
//
// Recognising only proposes; what is proposed is tried in the shadow and serves through the same
// probation as everything else.
//
// How near: mean distance to the three nearest of the handful, by the bundle's metric, in the space
// of the bundle alone. Strange: the mean rank of these among the handful's own leave-one-out
// distances, as a normal deviate (Wilcoxon, Biometrics 1, 1945). Sure: the probability of the
// paired difference in log distance to the runner-up by a normal approximation. Cost: samples x
// concepts x handful distances, a few milliseconds, off the frame path.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/classify/distance.h"

namespace tinylcm::adapt {

// A stream as a handful of its samples. A plain value.
struct ConceptSketch {
  static constexpr std::size_t kMembersMax = 96;
  static constexpr std::size_t kMembersMin = 20;
  static constexpr std::size_t kBytesMax = 256u << 10;  // Of the members: fewer of wide features.

  classify::Metric metric = classify::Metric::kCosine;
  std::size_t dims = 0;
  std::vector<float> members;  // Row after row.
  std::vector<float> usual;    // Ascending: how far the stream's own samples are from the others.

  std::size_t size() const { return dims == 0 ? 0 : members.size() / dims; }
  friend bool operator==(const ConceptSketch&, const ConceptSketch&) = default;

  // A random selection of the rows (same seed, same selection). kInvalidArgument: fewer than
  // kMembersMin rows, rows that do not fit `dims`, a number that is not finite.
  static base::Result<ConceptSketch> Of(std::span<const float> features, std::size_t dims,
                                        classify::Metric metric, std::uint64_t seed);
  // The bundle's own: members from its anchors, usual from its canary, which the model has not seen
  // (distances among what it has seen are too small).
  static base::Result<ConceptSketch> OfBundle(const classify::Anchors& anchors,
                                              const classify::Anchors& canary,
                                              classify::Metric metric, std::uint64_t seed);
};

struct RecogniseRule {
  std::size_t samples_min = 24;
  double strange_max = 3.0;  // Standard deviations that the mean rank may lie too high.
  double sure_min = 0.95;
};

struct Recognition {
  struct Score {
    double distance = 0.0;  // Geometric mean over the samples.
    double strange = 0.0;   // Deviate of the mean rank; high: these are not its samples.
    friend bool operator==(const Score&, const Score&) = default;
  };
  std::vector<Score> scores;         // In the order of the sketches.
  std::optional<std::size_t> which;  // The nearest, where it is neither strange nor in doubt.
  double sure = 0.0;  // Probability that no other is nearer; 0 where all are strange.
  std::string why;    // In words.
};

// Holds `features` (rows x dims, the bundle alone) against the sketches. Pure; same input, same
// bits. Too few rows, or no sketch of those dimensions: nothing is recognised.
Recognition Recognise(std::span<const ConceptSketch* const> sketches,
                      std::span<const float> features, std::size_t dims,
                      const RecogniseRule& rule = {});

struct KnownConcept {
  std::string event_id;           // The drift event it was learned by.
  std::string adaptation_sha256;  // Of Serialise(*adaptation).
  std::uint64_t met = 1;          // How often it was there.
  std::uint64_t last_met = 0;     // Counts up with every meeting of any.
  double distance_after = 0.0;    // Its samples' mean distance under the adaptation, when learned.
  ConceptSketch sketch;
  std::shared_ptr<const Adaptation> adaptation;  // Never null.
};

// At most eight; the one not met for longest gives way. Belongs to a bundle. Not thread-safe.
class ConceptCache {
 public:
  static constexpr std::size_t kConceptsMax = 8;

  explicit ConceptCache(std::string bundle) : bundle_(std::move(bundle)) {}

  const std::string& bundle() const { return bundle_; }
  const std::vector<KnownConcept>& concepts() const { return concepts_; }

  // An adaptation was committed for a stream like `sketch`. It takes the place of what was known
  // for the same event, or for a stream that is the same by RecogniseRule either way round; of the
  // latter it is another meeting.
  void Learn(const std::string& event_id, ConceptSketch sketch, double distance_after,
             std::shared_ptr<const Adaptation> adaptation);
  // Which of those known is there again; `own` (may be null) is the bundle's own sketch, and that
  // it is nearest is known by `is_own`.
  struct Answer {
    Recognition recognition;  // Scores: the own first where there is one.
    bool is_own = false;      // As when nothing was wrong: the bundle alone serves best.
    const KnownConcept* found = nullptr;  // Until the next change of the cache.
  };
  Answer Recognise(const ConceptSketch* own, std::span<const float> features, std::size_t dims,
                   const RecogniseRule& rule = {}) const;
  // What was undone by a person, or learned from a label that was taken back or replaced, must not
  // come again. How many were dropped.
  std::size_t ForgetAdaptation(const std::string& adaptation_sha256);
  std::size_t ForgetLabel(const std::string& sample_id);

  // docs/formats/device_state.md. Writing what was read gives the same bytes.
  base::Bytes Save() const;
  // kCorrupt, kUnsupported; kInvalidArgument where it is another bundle's.
  static base::Result<ConceptCache> Parse(const std::string& bundle, base::ByteView bytes);

 private:
  std::string bundle_;
  std::uint64_t meetings_ = 0;
  std::vector<KnownConcept> concepts_;  // In the order they were learned.
};

}  // namespace tinylcm::adapt
