// KnnClassifier: asks the k nearest known vectors for their label.
//
// Two stores: the bundle's anchors, never edited, and the adaptive memory, which can be replaced
// whole and so taken back. Both vote; only the anchors make the distance that drift is watched by,
// or what was learned under drift would hide the next one.
//
// Exact search. Same input, same bits on every machine; equal distances go to the lower index,
// equal votes to the lower label. Scan::kInt8 looks at a byte a number first (int8_rows.h) and
// gives the same answers in about half the time, for a quarter more memory.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/aligned.h"
#include "base/result.h"
#include "tinylcm/classify/anchors.h"
#include "tinylcm/classify/calibration.h"
#include "tinylcm/classify/distance.h"
#include "tinylcm/classify/int8_rows.h"

namespace tinylcm::classify {

inline constexpr std::size_t kNeighboursMax = 16;
inline constexpr std::uint16_t kUnknownLabel = 0xffff;  // The classifier will not say.

// How the rows are gone through; the answers are the same.
enum class Scan { kFloat, kInt8 };

const char* Name(Scan scan);  // "f32", "i8".
base::Result<Scan> ParseScan(std::string_view name);

struct Neighbour {
  std::uint32_t anchor = 0;  // Index among the anchors; memory goes on after the last of them.
  std::uint16_t label = 0;
  float distance = 0.0f;
};

struct Prediction {
  std::uint16_t label = 0;       // kUnknownLabel where confidence is below `unknown_below`.
  std::uint16_t nearest = 0;     // The winner of the vote, said or not. Always a class.
  std::uint16_t known = 0;       // The nearest anchor's class: of the bundle, never an opened one.
  float share = 0.0f;            // The winner's share of the votes.
  float confidence = 0.0f;       // Calibrated.
  float mean_distance = 0.0f;    // To the k neighbours that voted.
  float anchor_distance = 0.0f;  // To the k nearest anchors, memory left out: what drift watches.
  std::array<Neighbour, kNeighboursMax> neighbours{};  // Nearest first.
  std::uint32_t neighbour_count = 0;
};

// Not thread-safe. Classify does not allocate.
class KnnClassifier {
 public:
  struct Options {
    std::uint32_t classes = 2;
    std::uint32_t k = 5;  // At most kNeighboursMax; fewer vote where there are fewer.
    Metric metric = Metric::kCosine;
    bool distance_weighted = true;    // A vote counts weight / distance; otherwise weight.
    float unknown_below = 0.0f;       // Confidence below which the answer is "unknown"; 0: never.
    std::uint32_t memory_max = 4096;  // Vectors the adaptive memory may hold.
    Scan scan = Scan::kFloat;
  };

  static base::Result<KnnClassifier> Create(const Options& options, const Anchors& anchors,
                                            const Calibration& calibration = {});

  // REQUIRES: feature.size() == dims(), all finite. `votes`: empty, or classes() of them, which
  // receive the share of each.
  Prediction Classify(std::span<const float> feature, std::span<float> votes = {});

  // The same as if the anchor were not there.
  Prediction ClassifyWithout(std::uint32_t anchor, std::span<const float> feature,
                             std::span<float> votes = {});

  // Replaces the adaptive memory; an empty one removes it. `opened`: classes beyond
  // options().classes that only the memory knows; their labels follow. On an error nothing changed.
  base::Status SetMemory(const Anchors& memory, std::uint32_t opened = 0);

  // options().classes and those the memory opened.
  std::uint32_t classes() const { return static_cast<std::uint32_t>(tally_.size()); }

  std::size_t dims() const { return dims_; }
  const Options& options() const { return options_; }
  const Anchors& anchors() const { return anchors_; }
  const Anchors& memory() const { return memory_; }
  // How it really scans: kFloat where kInt8 was asked for, but the metric is Manhattan, there are
  // more than kInt8DimsMax dimensions, or a vector is too long for its square to be bounded in
  // float.
  Scan scan() const { return coarse_ ? Scan::kInt8 : Scan::kFloat; }
  const Calibration& calibration() const { return calibration_; }
  void SetCalibration(const Calibration& calibration) { calibration_ = calibration; }

 private:
  KnnClassifier(const Options& options, const Anchors& anchors, const Calibration& calibration);
  class Nearest;
  void SetRows();
  // Offers `vectors`, whose rows start at `first`, to those found; `limit` holds in what the scan
  // knows of a row, a distance or a bound.
  void Offer(bool is_coarse, std::size_t first, const Anchors& vectors, float limit,
             Nearest& nearest);

  Options options_;
  Anchors anchors_;
  Anchors memory_;
  Calibration calibration_;
  std::size_t dims_ = 0;
  std::size_t stride_ = 0;
  std::size_t memory_first_ = 0;     // Row of the first of the memory: the anchors, padded.
  base::AlignedVector<float> rows_;  // Anchors, then memory; padded; for cosine, of unit length.
  std::optional<Int8Rows> coarse_;   // The same rows, where they are scanned so.
  base::AlignedVector<float> query_;
  base::AlignedVector<float> distances_;  // One a row, infinite for those between the two.
  base::AlignedVector<float> low_;        // Bounds, one a row.
  base::AlignedVector<float> high_;
  std::vector<std::uint32_t> near_;    // Rows that may be among the nearest,
  std::vector<float> near_distances_;  // and how far they are.
  std::vector<double> tally_;
};

// One anchor as the others see it.
struct LeftOut {
  std::uint16_t label = 0;
  float share = 0.0f;  // Of their votes, for `label`.
  Prediction prediction;
};

// Every anchor classified by all others, in order. kInvalidArgument as Create.
base::Result<std::vector<LeftOut>> LeaveOneOut(const KnnClassifier::Options& options,
                                               const Anchors& anchors);

// The share of `left_out` that was right; 0 for none.
double Accuracy(std::span<const LeftOut> left_out);

}  // namespace tinylcm::classify
