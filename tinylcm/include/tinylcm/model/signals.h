// Signals: what a bundle lets one say of an answered sample without a label: how far it lies from
// what is known, how undecided the vote was, whether the input itself looks as it always does.
//
//   answer, feature ──▶ anchor_distance margin entropy centroid_distance quant_tree class_mix
//   picture's figures ▶ brightness sharpness saturation rail, and stuck by the one before
//   row ──────────────▶ rail, and stuck by the one before
//
// Each is a plain number and none is a judgement: whether it is unusual is for drift/ to say,
// against held-out values that a fit measures with this very class. What the bundle holds no ground
// for (a head without anchors, a bundle older than its centroids) is not there, never a stand-in.
//
// Of a picture:
//   brightness         mean of its pixels
//   sharpness          edge focus (feature/picture_figures.h)
//   saturation         share of its numbers that are 0 or 255
//   rail               its darkest pixel over the mean
//   stuck              1 if it is the one before again, else 0
//   centroid_distance  how far on the way to where the class's pictures go when the camera turns: a
//                      turned camera leaves the figures as they were. Of a bundle that was not
//                      shown turned pictures it is what it is of a row.
// Of a row:
//   rail               share of the channels at or beyond the ends of what the fit saw
//   stuck              share of the channels that repeat the row before exactly
//   centroid_distance  whitened squared distance to the class's centroid

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "tinylcm/classify/knn_classifier.h"
#include "tinylcm/drift/sample.h"
#include "tinylcm/feature/centroids.h"
#include "tinylcm/feature/picture_figures.h"
#include "tinylcm/feature/quant_tree.h"
#include "tinylcm/model/bundle.h"

namespace tinylcm::model {

// Not thread-safe. Measure does not allocate; beside what an answer costs anyway it takes some
// hundred nanoseconds, most of them for the centroid (up to 33 * dims multiplications).
class Signals {
 public:
  // REQUIRES: a valid bundle.
  explicit Signals(const ModelBundle& bundle);

  // Of one answered sample.
  struct From {
    const classify::Prediction& prediction;
    std::span<const float> share;    // Of each class in the vote.
    std::span<const float> feature;  // What was classified.
    std::span<const float> raw;      // The row, or what the model made of the picture.
    std::span<const float> figures;  // kPictureFigures of a picture; of a row: empty.
  };

  // Sets predicted, values and has of `sample`; index, channels and phase are the caller's. Once a
  // sample and in their order: `stuck` compares with the one before. The first has none before it:
  // nothing is stuck. All that is there is finite.
  // REQUIRES: all of `from` is finite and of the bundle's sizes.
  void Measure(const From& from, drift::Sample& sample);

  // What a sample may have. All of them always do, but that a class the fit never saw has no
  // centroid.
  drift::SignalMask mask() const { return mask_; }

 private:
  float Repeats(const From& from);

  bool is_image_ = false;
  drift::SignalMask mask_ = 0;
  std::optional<feature::Centroids> centroids_;
  std::optional<feature::Ways> ways_;
  feature::QuantTreeTensors quant_tree_;
  std::vector<float> rail_low_;
  std::vector<float> rail_high_;
  bool has_last_ = false;
  std::vector<float> last_;  // The row, or the model's numbers ...
  std::array<float, feature::kPictureFigures> last_figures_{};  // ... and the picture's figures.
};

// Beyond these a channel is at its rail: the least and the most of each column, but where more than
// one row in a hundred lies right there the next number outwards, for then that is where the
// channel is at home. `rows` as everywhere: row i is rows[i * columns .. (i + 1) * columns).
struct Rails {
  std::vector<float> low;
  std::vector<float> high;
};
Rails FitRails(std::span<const float> rows, std::size_t columns);

}  // namespace tinylcm::model
