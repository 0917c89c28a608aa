// FeatureModel: turns a picture into numbers. An inference engine stands behind it.

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace tinylcm::feature {

// Not thread-safe: one thread owns the path of a frame. No allocation in Infer once warm.
class FeatureModel {
 public:
  virtual ~FeatureModel() = default;

  // The picture it wants: width * height * 3 bytes, RGB, row by row.
  virtual int width() const = 0;
  virtual int height() const = 0;

  // How many numbers it gives.
  virtual std::size_t feature_count() const = 0;

  // kInvalidArgument for a picture or an output of another size; kInternal where the engine fails.
  virtual base::Status Infer(std::span<const std::uint8_t> picture, std::span<float> raw) = 0;
};

}  // namespace tinylcm::feature
