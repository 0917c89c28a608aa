#include "tinylcm/feature/centroids.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
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
// Of each number's own width, where a way is looked for; more where there are few rows a number.
constexpr double kShrinkWays = 0.03;
constexpr std::size_t kJacobiMax = 256;  // Below it the exact way is quick enough.

bool AllFinite(const std::vector<float>& values) {
  return std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v); });
}

// Centroids, and the scatter within classes.
struct Scatter {
  std::vector<double> centroids;  // [classes, dims]
  std::vector<double> counts;     // [classes]
  std::vector<double> matrix;     // [dims, dims]; empty where there is none worth the name.
  double mean = 0.0;              // Of its diagonal.
};

Scatter ScatterOf(std::span<const float> rows, std::size_t dims,
                  std::span<const std::uint16_t> labels, std::size_t classes) {
  CHECK(dims > 0 && rows.size() == labels.size() * dims);
  Scatter found;
  const std::size_t count = labels.size();
  if (count < classes + 2) return found;
  std::vector<double>& centroids = found.centroids;
  std::vector<double>& counts = found.counts;
  centroids.assign(classes * dims, 0.0);
  counts.assign(classes, 0.0);
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
  double& mean = found.mean;
  for (std::size_t j = 0; j < dims; ++j) {
    for (std::size_t k = 0; k <= j; ++k) {
      scatter[k * dims + j] = scatter[j * dims + k] /= freedom;
    }
    mean += scatter[j * dims + j];
  }
  mean /= static_cast<double>(dims);
  if (!(mean > 0.0) || !std::isfinite(mean)) return found;
  found.matrix = std::move(scatter);
  return found;
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
  CHECK(rank >= 1);
  CentroidTensors tensors;
  Scatter scatter = ScatterOf(rows, dims, labels, classes);
  if (scatter.matrix.empty()) return tensors;
  const double mean = scatter.mean;
  const Eigenvectors eigen = dims > kJacobiMax
                                 ? EigenvectorsByQl(std::move(scatter.matrix), dims)
                                 : EigenvectorsByJacobi(std::move(scatter.matrix), dims);
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
  for (const double value : scatter.centroids)
    tensors.centroids.push_back(static_cast<float>(value));
  for (const double n : scatter.counts) tensors.known.push_back(n > 0.0 ? 1 : 0);
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

base::Status Validate(const WayTensors& tensors, std::size_t classes, std::size_t dims) {
  const auto refuse = [](const std::string& reason) {
    return Error{ErrorCode::kInvalidArgument, "ways: " + reason};
  };
  if (tensors.half_way.empty() && tensors.ways.empty()) return {};
  if (classes == 0 || tensors.half_way.size() % classes != 0 ||
      tensors.ways.size() != tensors.half_way.size() * dims) {
    return refuse(StrCat(tensors.ways.size(), " numbers for ", tensors.half_way.size(), " ways of ",
                         classes, " classes in ", dims, " dimensions"));
  }
  if (!AllFinite(tensors.ways) || !AllFinite(tensors.half_way)) {
    return refuse("a number is not finite");
  }
  return {};
}

WayTensors FitWays(std::span<const float> rows, std::size_t dims,
                   std::span<const std::uint16_t> labels, std::size_t classes,
                   std::span<const std::vector<float>> changed) {
  WayTensors tensors;
  if (changed.empty()) return tensors;
  Scatter scatter = ScatterOf(rows, dims, labels, classes);
  if (scatter.matrix.empty()) return tensors;

  // Cholesky's root of the scatter, its diagonal shrunk towards itself; in place, lower half.
  const double few = static_cast<double>(dims) / (4.0 * static_cast<double>(labels.size()));
  const double shrink = std::clamp(few, kShrinkWays, 0.5);
  std::vector<double>& root = scatter.matrix;
  const double least = 1e-9 * scatter.mean;  // For a number that is always the same.
  for (std::size_t j = 0; j < dims; ++j) {
    for (std::size_t k = 0; k < j; ++k) root[j * dims + k] *= 1.0 - shrink;
    root[j * dims + j] += least;
  }
  for (std::size_t j = 0; j < dims; ++j) {
    double* const row = root.data() + j * dims;
    for (std::size_t k = 0; k <= j; ++k) {
      const double* const other = root.data() + k * dims;
      double sum = row[k];
      for (std::size_t i = 0; i < k; ++i) sum -= row[i] * other[i];
      row[k] = k < j ? sum / other[k] : std::sqrt(std::max(sum, least));
    }
  }

  std::vector<double> way(dims);
  for (const std::vector<float>& then : changed) {
    CHECK(then.size() == rows.size());
    std::vector<double> moved(classes * dims, 0.0);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      for (std::size_t j = 0; j < dims; ++j) {
        moved[labels[i] * dims + j] += static_cast<double>(then[i * dims + j]);
      }
    }
    for (std::size_t c = 0; c < classes; ++c) {
      const double* const centroid = scatter.centroids.data() + c * dims;
      // way = scatter^-1 step, forwards and back through the root.
      double squared = 0.0;
      for (std::size_t j = 0; j < dims; ++j) {
        double sum =
            scatter.counts[c] > 0.0 ? moved[c * dims + j] / scatter.counts[c] - centroid[j] : 0.0;
        for (std::size_t i = 0; i < j; ++i) sum -= root[j * dims + i] * way[i];
        way[j] = sum / root[j * dims + j];
        squared += way[j] * way[j];
      }
      for (std::size_t j = dims; j-- > 0;) {
        double sum = way[j];
        for (std::size_t i = j + 1; i < dims; ++i) sum -= root[i * dims + j] * way[i];
        way[j] = sum / root[j * dims + j];
      }
      const double length = squared > 0.0 ? std::sqrt(squared) : 1.0;
      double half = squared / 2.0;
      for (std::size_t j = 0; j < dims; ++j) {
        half += way[j] * centroid[j];
        tensors.ways.push_back(static_cast<float>(way[j] / length));
      }
      tensors.half_way.push_back(static_cast<float>(half / length));
    }
  }
  return tensors;
}

Ways::Ways(const WayTensors& tensors, std::size_t classes)
    : classes_(classes), half_way_(tensors.half_way) {
  CHECK(!half_way_.empty() && classes > 0);
  dims_ = tensors.ways.size() / half_way_.size();
  stride_ = PaddedSize(dims_);
  ways_.assign(half_way_.size() * stride_, 0.0f);
  for (std::size_t i = 0; i < half_way_.size(); ++i) {
    std::memcpy(ways_.data() + i * stride_, tensors.ways.data() + i * dims_, dims_ * sizeof(float));
  }
  padded_.assign(stride_, 0.0f);
}

float Ways::Along(std::span<const float> vector, std::size_t label) {
  CHECK(vector.size() == dims_ && label < classes_);
  std::memcpy(padded_.data(), vector.data(), vector.size_bytes());
  float farthest = -std::numeric_limits<float>::infinity();
  for (std::size_t at = label; at < half_way_.size(); at += classes_) {
    float along = 0.0f;
    Project(padded_.data(), ways_.data() + at * stride_, 1, stride_, &along);
    farthest = std::max(farthest, along - half_way_[at]);
  }
  return farthest;
}

}  // namespace tinylcm::feature
