// InputSearch: which guess at what happened to the input brings the features back to the anchors.
//
// Every guess is put on every sample, and the sample run through the model: the winner is the one
// nearest to the anchors, if it is much nearer than the input as it is. Two steps must earn their
// keep over one. SearchPictures and SearchRows are the whole of stage 1; pictures are read one by
// one, several times, and never lie in memory together.
//
// Cost: an inference a guess and picture; 100 pictures, 17 guesses and about 15 pairs.

#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/input_hypothesis.h"
#include "tinylcm/adapt/picture_statistics.h"
#include "tinylcm/adapt/picture_transform.h"
#include "tinylcm/adapt/row_hypotheses.h"
#include "tinylcm/adapt/row_transform.h"
#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::adapt {

// Input -> processed feature, by the bundle's model and processor.
using EmbedPicture =
    std::function<base::Status(std::span<const std::uint8_t> picture, std::span<float> feature)>;
using EmbedRow = std::function<base::Status(std::span<const float> row, std::span<float> feature)>;

struct SearchRule {
  float ratio_max = 0.9f;  // Adopt below this share of identity's distance...
  // A repair of channels that are silent beyond doubt need not bring so much.
  float repair_ratio_max = 0.98f;
  int labels_lost_max = 1;  // ...unless more labelled samples than this would be lost by it.
  float pair_ratio_max =
      0.9f;  // Two steps only below this share of the best single one's distance.
  float tie_ratio_max =
      1.01f;                 // As good as equal: the first of them, the least invasive, is taken.
  float pairs_from = 0.97f;  // Pairs are tried if a single step brings this share of identity's.
  // What is served already stays if its distance is at most this share of the best one's.
  float served_ratio_max = 1.05f;
  // A correction that is right leads back to where known samples lie (`usual_distance`, of the
  // bundle's canary; 0: not known): one that stays farther off than so many times as much is a
  // guess at something else.
  double usual_distance = 0.0;
  double usual_times_max = std::numeric_limits<double>::infinity();
  std::size_t judged_max = 100;  // Samples measured; all that are labelled, and these beside them.
};

struct InputSearchResult {
  struct Score {
    std::string name;
    double distance = 0.0;  // Mean distance to the nearest anchors.
    int correct = 0;        // Of the labelled samples.
  };
  std::vector<Score> scores;  // In the order in which they were tried; identity first.
  std::size_t best = 0;       // The one chosen, adopted or not.
  double ratio = 1.0;         // Its distance / identity's.
  bool is_adopted = false;    // By distance, and not vetoed.
  bool is_vetoed = false;     // By labels.
  bool is_far = false;        // Nearer, but not where known samples lie.
  int labelled = 0;
  std::size_t judged = 0;      // Samples measured.
  InputHypothesis hypothesis;  // What to serve: the best, or identity.
};

// Measures every hypothesis on every sample. In steps, so that it can share a thread with the
// frame path: one Add costs one inference a hypothesis of the round.
class InputSearch {
 public:
  // Identity must come first. `knn` is copied and used without its memory. What `embed` refers to
  // must outlive the search.
  static base::Result<InputSearch> Create(std::vector<InputHypothesis> hypotheses, PictureSize size,
                                          const classify::KnnClassifier& knn, EmbedPicture embed);
  static base::Result<InputSearch> Create(std::vector<InputHypothesis> hypotheses,
                                          std::size_t channels, const classify::KnnClassifier& knn,
                                          EmbedRow embed);

  // `label`: a person's, where there is one. A sample that fails counts for no hypothesis.
  base::Status Add(std::span<const std::uint8_t> picture, std::optional<std::uint16_t> label);
  base::Status Add(std::span<const float> row, std::optional<std::uint16_t> label);

  // More hypotheses, found out from those before: a new round, in which the same samples are added
  // again and only these measured.
  base::Status Try(std::vector<InputHypothesis> hypotheses);

  // REQUIRES: in every round at least one sample was added.
  InputSearchResult Finish(const SearchRule& rule) const;

  std::size_t size() const { return tried_.size(); }
  const InputHypothesis& hypothesis(std::size_t h) const { return tried_[h].hypothesis; }
  double distance(std::size_t h) const;  // REQUIRES: as Finish.
  // Features of the added samples under hypothesis h, row after row: what stage 2 goes on with.
  std::span<const float> features(std::size_t h) const { return tried_[h].features; }

 private:
  struct Tried {
    InputHypothesis hypothesis;
    std::vector<float> features;
    double distance = 0.0;  // Sum.
    int correct = 0;
    std::uint64_t count = 0;
  };

  explicit InputSearch(classify::KnnClassifier knn) : knn_(std::move(knn)) {}
  static base::Result<InputSearch> Begin(std::vector<InputHypothesis> hypotheses,
                                         InputSearch search);
  // embed_one(h): puts the sample right by transform h of the round and embeds it into feature_.
  template <typename EmbedOne>
  base::Status Measure(std::optional<std::uint16_t> label, EmbedOne embed_one);

  classify::KnnClassifier knn_;
  PictureSize size_;
  EmbedPicture embed_picture_;  // Either,
  EmbedRow embed_row_;          // or.
  std::size_t channels_ = 0;
  std::vector<Tried> tried_;
  std::size_t round_ = 0;                             // Where the current one begins.
  std::vector<PictureTransform> picture_transforms_;  // Of the round.
  std::vector<RowTransform> row_transforms_;
  std::vector<std::uint8_t> picture_;
  std::vector<float> row_;
  std::vector<float> fresh_;  // A sample's features under each hypothesis of the round.
  int labelled_ = 0;
};

// ---- Stage 1 ----------------------------------------------------------------------------------

// Where pictures lie.
struct PictureShelf {
  std::size_t count = 0;
  // An error: this one cannot be read and is passed over.
  std::function<base::Status(std::size_t i, std::vector<std::uint8_t>& picture)> read;
  std::function<std::optional<std::uint16_t>(std::size_t i)> label;
};

// `served`: what is served now; it is tried, too. kUnavailable where no picture can be read.
base::Result<InputSearchResult> SearchPictures(const PictureReference& reference,
                                               const PictureShelf& shelf,
                                               const classify::KnnClassifier& knn,
                                               EmbedPicture embed, const InputHypothesis& served,
                                               const SearchRule& rule);

struct SearchedRow {
  std::span<const float> values;
  std::optional<std::uint16_t> label;
};

// kUnavailable where there are fewer than 30 rows.
base::Result<InputSearchResult> SearchRows(const RowReference& reference,
                                           std::span<const SearchedRow> rows,
                                           const classify::KnnClassifier& knn, EmbedRow embed,
                                           const InputHypothesis& served, const SearchRule& rule);

}  // namespace tinylcm::adapt
