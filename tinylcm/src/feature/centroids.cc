#include "tinylcm/feature/centroids.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/feature/project.h"
#include "tinylcm/src/feature/eigenvectors.h"

namespace tinylcm::feature {

using base::Error;
using base::ErrorCode;
using base::StrCat;

namespace {

// How much of the mean width every axis is given: an axis along which the few rows of a fit happen
// not to differ would else count for everything.
constexpr double kShrink = 0.03;
constexpr std::size_t kJacobiMax = 256;  // Below it the exact way is quick enough.

bool AllFinite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

}  // namespace

base::Status Validate(const CentroidTensors& tensors, std::size_t classes, std::size_t dims) {
  const auto refuse = [](const std::string& reason) {
    return Error{ErrorCode::kInvalidArgument, "centroids: " + reason};
  };
  if (tensors.centroids.empty()) {
    if (!tensors.known.empty() || !tensors.axes.empty()) return refuse("axes without centroids");
    return {};
  }
  if (dims == 0 || tensors.centroids.size() != classes * dims || tensors.known.size() != classes) {
    return refuse(StrCat(tensors.centroids.size(), " numbers, expected ", classes, " x ", dims));
  }
  if (tensors.axes.empty() || tensors.axes.size() % dims != 0 ||
      tensors.axes.size() / dims > dims) {
    return refuse("axes of another size");
  }
  if (!(tensors.rest >= 0.0f) || !std::isfinite(tensors.rest)) return refuse("rest is below 0");
  if (!AllFinite(tensors.centroids) || !AllFinite(tensors.axes)) {
    return refuse("a number is not finite");
  }
  return {};
}

CentroidTensors FitCentroids(std::span<const float> rows, std::size_t dims,
                             std::span<const std::uint16_t> labels, std::size_t classes,
                             std::size_t rank) {
  CHECK(dims > 0 && rows.size() == labels.size() * dims && rank >= 1);
  CentroidTensors tensors;
  const std::size_t count = labels.size();
  if (count < classes + 2) return tensors;

  std::vector<double> centroids(classes * dims, 0.0);
  std::vector<double> counts(classes, 0.0);
  for (std::size_t i = 0; i < count; ++i) {
    CHECK(labels[i] < classes);
    counts[labels[i]] += 1.0;
    for (std::size_t j = 0; j < dims; ++j) {
      centroids[labels[i] * dims + j] += static_cast<double>(rows[i * dims + j]);
    }
  }
  for (std::size_t c = 0; c < classes; ++c) {
    for (std::size_t j = 0; j < dims; ++j) centroids[c * dims + j] /= std::max(counts[c], 1.0);
  }
  std::vector<double> scatter(dims * dims, 0.0);
  std::vector<double> off(dims);
  for (std::size_t i = 0; i < count; ++i) {
    for (std::size_t j = 0; j < dims; ++j) {
      off[j] = static_cast<double>(rows[i * dims + j]) - centroids[labels[i] * dims + j];
    }
    for (std::size_t j = 0; j < dims; ++j) {
      for (std::size_t k = 0; k <= j; ++k) scatter[j * dims + k] += off[j] * off[k];
    }
  }
  const auto freedom = static_cast<double>(count - classes);
  double mean = 0.0;
  for (std::size_t j = 0; j < dims; ++j) {
    for (std::size_t k = 0; k <= j; ++k) {
      scatter[k * dims + j] = scatter[j * dims + k] /= freedom;
    }
    mean += scatter[j * dims + j];
  }
  mean /= static_cast<double>(dims);
  if (!(mean > 0.0) || !std::isfinite(mean)) return tensors;

  const Eigenvectors eigen = dims > kJacobiMax ? EigenvectorsByQl(std::move(scatter), dims)
                                               : EigenvectorsByJacobi(std::move(scatter), dims);
  std::vector<std::size_t> order(dims);
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return eigen.values[a] > eigen.values[b]; });
  const std::size_t kept = std::min(rank, dims);
  const auto shrunk = [&](double value) {
    return (1.0 - kShrink) * std::max(value, 0.0) + kShrink * mean;
  };
  double rest = 0.0;
  for (std::size_t i = kept; i < dims; ++i) rest += std::max(eigen.values[order[i]], 0.0);
  if (kept < dims) rest = 1.0 / shrunk(rest / static_cast<double>(dims - kept));
  for (std::size_t i = 0; i < kept; ++i) {
    const double inverse = 1.0 / shrunk(eigen.values[order[i]]);
    const double length = std::sqrt(kept < dims ? std::max(rest - inverse, 0.0) : inverse);
    for (std::size_t j = 0; j < dims; ++j) {
      tensors.axes.push_back(static_cast<float>(length * eigen.rows[order[i] * dims + j]));
    }
  }
  tensors.rest = static_cast<float>(rest);
  for (const double value : centroids) tensors.centroids.push_back(static_cast<float>(value));
  for (const double n : counts) tensors.known.push_back(n > 0.0 ? 1 : 0);
  return tensors;
}

Centroids::Centroids(const CentroidTensors& tensors)
    : dims_(tensors.known.empty() ? 0 : tensors.centroids.size() / tensors.known.size()),
      stride_(PaddedSize(dims_)),
      rest_(tensors.rest),
      known_(tensors.known) {
  CHECK(dims_ > 0);
  rank_ = tensors.axes.size() / dims_;
  const auto padded = [this](const std::vector<float>& values) {
    base::AlignedVector<float> rows(values.size() / dims_ * stride_, 0.0f);
    for (std::size_t i = 0; i < values.size() / dims_; ++i) {
      std::memcpy(rows.data() + i * stride_, values.data() + i * dims_, dims_ * sizeof(float));
    }
    return rows;
  };
  centroids_ = padded(tensors.centroids);
  axes_ = padded(tensors.axes);
  off_.assign(stride_, 0.0f);
  along_.assign(rank_, 0.0f);
}

float Centroids::Distance(std::span<const float> feature, std::size_t label) {
  CHECK(feature.size() == dims_ && knows(label));
  const float* const centroid = centroids_.data() + label * stride_;
  for (std::size_t j = 0; j < dims_; ++j) off_[j] = feature[j] - centroid[j];
  Project(off_.data(), axes_.data(), rank_, stride_, along_.data());
  float sum = 0.0f;
  for (const float value : along_) sum += value * value;
  if (rest_ == 0.0f) return sum;
  float squared = 0.0f;
  Project(off_.data(), off_.data(), 1, stride_, &squared);
  return std::max(rest_ * squared - sum, 0.0f);
}

}  // namespace tinylcm::feature
