// Input hypotheses: a closed set of guesses at what happened to the picture, each with its undoing.
//
// Less light, a cast, a dirty lens, a camera knocked askew: the model need not be taught any of
// them if the picture can be put right first. Every guess is built from how the quarantined
// pictures look beside how pictures looked at fit time, run through the same model, and measured:
// the right one brings the features back to the anchors. No labels are needed to choose; labels,
// when they come, only veto.
//
// Measured: docs/decisions/0003-labels-choose-the-least-invasive-correction.md; from .18-.74 to
// .98-.99 where changing the features reached .82.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/sample.h"
#include "tinylcm/classify/anchors.h"
#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::adapt {

enum class HypothesisKind : std::uint8_t {
  kIdentity = 0,
  kChannelGain = 1,        // Each colour channel's mean and spread as at fit time.
  kFlatField = 2,          // Each pixel's mean as at fit time, by a gain.
  kFlatFieldContrast = 3,  // Each pixel's mean and spread as at fit time.
  kRotate = 4,
};

const char* Name(HypothesisKind kind);  // "identity", "channel_gain", "flat_field", ...

// A plain value: all that is needed to put a picture right. Gains and offsets are kept in the fixed
// point in which they are applied, so what is stored is what is served.
struct InputHypothesis {
  HypothesisKind kind = HypothesisKind::kIdentity;
  int angle_degrees = 0;  // kRotate only; counter-clockwise.
  // pixel * gain / 4096 + offset / 16, one a channel (kChannelGain) or one a byte of the picture.
  std::vector<std::uint16_t> gains = {};
  std::vector<std::int16_t> offsets = {};

  std::string name() const;  // "rotate(-20)", "flat_field_contrast".
  bool is_identity() const { return kind == HypothesisKind::kIdentity; }
  friend bool operator==(const InputHypothesis&, const InputHypothesis&) = default;
};

struct PictureSize {
  int width = 96;
  int height = 96;
  std::size_t bytes() const { return static_cast<std::size_t>(width) * height * 3; }
  friend bool operator==(const PictureSize&, const PictureSize&) = default;
};

// Applies a hypothesis to pictures in place. Not thread-safe; Apply does not allocate.
class PictureTransform {
 public:
  // kInvalidArgument where the maps do not fit the size.
  static base::Result<PictureTransform> Create(const InputHypothesis& hypothesis, PictureSize size);
  // REQUIRES: picture.size() == size.bytes(); RGB, row after row.
  void Apply(std::span<std::uint8_t> picture);

 private:
  struct Tap {  // Where an output pixel comes from, and the weight of the right and lower ones.
    std::uint32_t from = 0;
    std::uint16_t right = 0;  // Of 128.
    std::uint16_t down = 0;   // Of 128.
  };
  InputHypothesis hypothesis_;
  PictureSize size_;
  std::vector<std::uint8_t> tables_;  // kChannelGain: 256 answers for each of three channels.
  std::vector<Tap> taps_;             // kRotate.
  std::vector<std::uint8_t> scratch_;
};

// How the pictures of a stream look on average: sums a pixel. 100 pictures are enough.
class PictureStatistics {
 public:
  explicit PictureStatistics(PictureSize size);
  void Add(std::span<const std::uint8_t> picture);  // REQUIRES: size.bytes() bytes.
  std::uint64_t count() const { return count_; }
  std::vector<float> Mean() const;  // One a byte of the picture. REQUIRES: count() > 0.
  std::vector<float> StandardDeviation() const;  // The same.

 private:
  PictureSize size_;
  std::uint64_t count_ = 0;
  std::vector<double> sum_;
  std::vector<double> squares_;
};

// How pictures looked at fit time (from the bundle's reference).
struct PictureReference {
  PictureSize size;
  std::vector<float> mean;  // One a byte of the picture.
  std::vector<float> sd;
};

// The closed set: identity first, then gain, flat field with and without contrast, rotations by
// +-10, 20, 30, 40 degrees. kInvalidArgument where sizes differ or nothing was counted.
base::Result<std::vector<InputHypothesis>> MakeHypotheses(const PictureReference& reference,
                                                          const PictureStatistics& stream);

// picture -> processed feature, by the bundle's model and processor.
using EmbedPicture =
    std::function<base::Status(std::span<const std::uint8_t> picture, std::span<float> feature)>;

struct SearchRule {
  float ratio_max = 0.9f;   // Adopt below this share of identity's distance...
  int labels_lost_max = 1;  // ...unless more labelled samples than this would be lost by it.
};

struct InputSearchResult {
  struct Score {
    std::string name;
    double distance = 0.0;  // Mean distance to the nearest anchors.
    int correct = 0;        // Of the labelled samples.
  };
  std::vector<Score> scores;  // In the order of the hypotheses.
  std::size_t best = 0;       // The nearest one, adopted or not.
  double ratio = 1.0;         // Its distance / identity's.
  bool is_adopted = false;    // By distance, and not vetoed.
  bool is_vetoed = false;     // By labels.
  int labelled = 0;
  InputHypothesis hypothesis;  // What to serve: the best, or identity.
};

// Measures every hypothesis on every picture. In steps, so that it can share a thread with the
// frame path: one Add costs one inference a hypothesis.
class InputSearch {
 public:
  // `knn` is copied and used without its memory. What `embed` refers to must outlive the search.
  static base::Result<InputSearch> Create(std::vector<InputHypothesis> hypotheses, PictureSize size,
                                          const classify::KnnClassifier& knn, EmbedPicture embed);

  // `label`: a person's, where there is one.
  base::Status Add(std::span<const std::uint8_t> picture, std::optional<std::uint16_t> label);

  // REQUIRES: at least one picture was added.
  InputSearchResult Finish(const SearchRule& rule) const;

  // Features of the added pictures under hypothesis h, row after row: what stage 2 goes on with.
  std::span<const float> features(std::size_t h) const { return features_[h]; }

 private:
  InputSearch(std::vector<InputHypothesis> hypotheses, PictureSize size,
              classify::KnnClassifier knn, EmbedPicture embed);

  std::vector<InputHypothesis> hypotheses_;
  PictureSize size_;
  classify::KnnClassifier knn_;
  EmbedPicture embed_;
  std::vector<PictureTransform> transforms_;
  std::vector<std::vector<float>> features_;
  std::vector<double> distances_;
  std::vector<int> correct_;
  std::vector<std::uint8_t> picture_;
  int labelled_ = 0;
  std::uint64_t count_ = 0;
};

}  // namespace tinylcm::adapt
