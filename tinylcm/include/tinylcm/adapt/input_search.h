// InputSearch: which guess at what happened to the input brings the features back to the anchors.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/input_hypothesis.h"
#include "tinylcm/adapt/picture_transform.h"
#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::adapt {

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
