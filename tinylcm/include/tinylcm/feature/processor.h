// Processor: from raw numbers (a model's output, a sensor's channels) to the feature that is
// classified: (raw - mean) / scale, then, if there is one, a projection onto fewer axes.
//
// Apply gives the same bits on every machine (see feature/project.h), so that what was fitted is
// what is run. Standardising stays a pass of its own over n numbers, next to nothing beside the n *
// dims of the product: melted into the matrix it would take differences of large sums, and the
// standardised channels are wanted anyway.
//
// The matrix is what costs, for it is read from memory as a whole. As bytes (projection_i8) it is a
// quarter; the input is then rounded to 14 bits, and the sums are exact.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned.h"
#include "base/result.h"

namespace tinylcm::feature {

// As stored in a bundle's processor.safetensors. A plain value.
struct ProcessorTensors {
  std::vector<float> mean = {};  // [n]
  std::vector<float> scale =
      {};  // [n], all > 0: the standard deviation, or 1 for a constant channel.
  std::vector<float> projection_mean =
      {};                              // [n] or empty: taken off after scaling, before projecting.
  std::vector<float> projection = {};  // [dims, n], an axis a row; empty: no projection.
  // Instead of `projection`, at a quarter of the bytes: axis i is projection_i8 *
  // projection_scale[i].
  std::vector<std::int8_t> projection_i8 = {};  // [dims, n]
  std::vector<float> projection_scale = {};     // [dims], all > 0.

  // How many numbers come out.
  std::size_t feature_count() const {
    if (mean.empty()) return 0;
    const std::size_t numbers = projection_i8.empty() ? projection.size() : projection_i8.size();
    return numbers == 0 ? mean.size() : numbers / mean.size();
  }

  friend bool operator==(const ProcessorTensors&, const ProcessorTensors&) = default;
};

// kInvalidArgument where sizes do not fit together or a number is out of range.
base::Status Validate(const ProcessorTensors& tensors);

// Not thread-safe. Apply does not allocate.
class Processor {
 public:
  // kInvalidArgument as Validate.
  static base::Result<Processor> Create(const ProcessorTensors& tensors);

  // Leaves `count` numbers as they are.
  static Processor Identity(std::size_t count);

  std::size_t raw_count() const { return tensors_.mean.size(); }
  std::size_t feature_count() const { return feature_count_; }

  // REQUIRES: raw.size() == raw_count(), feature.size() == feature_count(); they do not overlap.
  void Apply(std::span<const float> raw, std::span<float> feature);

  // The first half of Apply: the standardised raw numbers, as many as raw. They are the channels a
  // drift is explained by. REQUIRES: both of size raw_count(); they may be the same.
  void Standardise(std::span<const float> raw, std::span<float> standardised) const;

 private:
  Processor(const ProcessorTensors& tensors, std::size_t feature_count);

  ProcessorTensors tensors_;  // Without the projection.
  std::size_t feature_count_ = 0;
  std::size_t stride_ = 0;
  base::AlignedVector<float> axes_ = {};           // The projection, rows padded.
  base::AlignedVector<float> centered_ = {};       // Scratch, padded.
  base::AlignedVector<std::int8_t> axes_i8_ = {};  // The same as bytes, with scratch of their own.
  base::AlignedVector<std::int16_t> whole_ = {};
  base::AlignedVector<std::int32_t> sums_ = {};
};

// The same with the projection as bytes: an axis' largest number becomes 127. kInvalidArgument
// without a projection.
base::Result<ProcessorTensors> QuantiseProjection(const ProcessorTensors& tensors);

// Row i of `rows` is rows[i * count .. (i + 1) * count). All fitting is plain double arithmetic in
// a fixed order: same rows, same bits, on every machine.

// Mean and deviation a channel. A channel whose deviation is below 1e-6 of the largest (or zero) is
// only centred: dividing by its rounding noise would make it the loudest of all.
base::Result<ProcessorTensors> FitStandardise(std::span<const float> rows, std::size_t count);

// The `dims` main axes (PCA) of the rows as standardised by `tensors`, added to it: eigenvectors
// on the covariance; each axis has its largest component positive. kInvalidArgument unless 1 <=
// dims <= min(count, rows - 1).
base::Result<ProcessorTensors> FitPca(const ProcessorTensors& tensors, std::span<const float> rows,
                                      std::size_t dims);

}  // namespace tinylcm::feature
