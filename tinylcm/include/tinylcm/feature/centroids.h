// Centroids: how far a feature lies from the middle of its class, in that cloud's own widths.
//
// Picture each class as a cloud around its centroid, all of the same shape: long along some axes,
// flat along others. A step along a long axis is nothing, the same step across is far. The squared
// distance is taken along the longest axes of the cloud, each in its own width (whitened), and,
// where there are more dimensions than axes kept, in one common width for all the rest. It sees
// what the nearest neighbours by angle do not: how long a vector is, and directions none of them
// points in.
//
// The shape is the scatter within classes, pooled and shrunk a little towards a ball (Lee, Lee,
// Lee, Shin, "A Simple Unified Framework for Detecting Out-of-Distribution Samples", NeurIPS 2018).

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.h"
#include "base/result.h"

namespace tinylcm::feature {

// A plain value, as stored in a bundle. Empty: none.
struct CentroidTensors {
  std::vector<float> centroids = {};     // [classes, dims]
  std::vector<std::uint8_t> known = {};  // [classes]: 0: no sample of the class was there.
  // [rank, dims]: an axis a row. Without `rest` (0) of length 1 / width, and the distance is the
  // sum of the squares along them; else of length sqrt(rest - 1 / width^2), and it is rest times
  // the squared distance less that sum.
  std::vector<float> axes = {};
  float rest = 0.0f;

  friend bool operator==(const CentroidTensors&, const CentroidTensors&) = default;
};

// kInvalidArgument where sizes do not fit together or a number is out of range.
base::Status Validate(const CentroidTensors& tensors, std::size_t classes, std::size_t dims);

// Of labelled rows (row i is rows[i * dims .. (i + 1) * dims)), keeping at most `rank` axes. Plain
// double arithmetic in a fixed order: same rows, same bits, on every machine. Empty where there are
// not at least two rows more than classes, or no row differs from its class's centroid.
// REQUIRES: each label < classes.
CentroidTensors FitCentroids(std::span<const float> rows, std::size_t dims,
                             std::span<const std::uint16_t> labels, std::size_t classes,
                             std::size_t rank);

// Not thread-safe. Distance does not allocate; it costs (rank + 1) * dims multiplications, with the
// same bits on every machine.
class Centroids {
 public:
  // REQUIRES: valid and not empty.
  explicit Centroids(const CentroidTensors& tensors);

  bool knows(std::size_t label) const { return label < known_.size() && known_[label] != 0; }
  // The squared distance to the class's centroid; never negative. REQUIRES: knows(label),
  // feature.size() is dims.
  float Distance(std::span<const float> feature, std::size_t label);

 private:
  std::size_t dims_ = 0;
  std::size_t stride_ = 0;
  std::size_t rank_ = 0;
  float rest_ = 0.0f;
  std::vector<std::uint8_t> known_;
  base::AlignedVector<float> centroids_;  // Rows padded.
  base::AlignedVector<float> axes_;
  base::AlignedVector<float> off_;  // Scratch.
  std::vector<float> along_;
};

// The ways: how far on the way from what a class looks like to what it looks like after a known
// change. Where such a change can be shown to a model beforehand (its pictures turned, say), it is
// found along one axis of many, and sooner than as a mere distance.
struct WayTensors {
  // [changes, classes, dims]: Fisher's discriminant between a class's cloud and the changed one, as
  // long as makes a step of 1 along it one width of the cloud; and where half-way lies.
  std::vector<float> ways = {};
  std::vector<float> half_way = {};  // [changes, classes]

  friend bool operator==(const WayTensors&, const WayTensors&) = default;
};

// As Validate above.
base::Status Validate(const WayTensors& tensors, std::size_t classes, std::size_t dims);

// As FitCentroids; `changed`: the same rows after each known change. Empty where there is none, or
// where there are no centroids. A class without a sample has no way: 0 throughout.
// REQUIRES: each of `changed` is of the size of `rows`.
WayTensors FitWays(std::span<const float> rows, std::size_t dims,
                   std::span<const std::uint16_t> labels, std::size_t classes,
                   std::span<const std::vector<float>> changed);

// Not thread-safe. Along does not allocate; it costs dims multiplications a change.
class Ways {
 public:
  // REQUIRES: valid and not empty.
  Ways(const WayTensors& tensors, std::size_t classes);

  // In widths of the cloud, 0 half-way, on the way that leads farthest. REQUIRES: label < classes,
  // vector.size() is dims.
  float Along(std::span<const float> vector, std::size_t label);

 private:
  std::size_t classes_ = 0;
  std::size_t dims_ = 0;
  std::size_t stride_ = 0;
  base::AlignedVector<float> ways_;  // Rows padded.
  std::vector<float> half_way_;
  base::AlignedVector<float> padded_;  // Scratch.
};

}  // namespace tinylcm::feature
