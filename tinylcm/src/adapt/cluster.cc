#include "tinylcm/adapt/cluster.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/random.h"

namespace tinylcm::adapt {
namespace {

// Rows centred on their mean and brought to unit length; a row that is the mean stays zero.
std::vector<float> Directions(std::span<const float> features, std::size_t dims) {
  const std::size_t rows = features.size() / dims;
  std::vector<double> mean(dims, 0.0);
  for (std::size_t i = 0; i < features.size(); ++i)
    mean[i % dims] += static_cast<double>(features[i]);
  for (double& value : mean) value /= static_cast<double>(rows);
  std::vector<float> directions(features.size());
  for (std::size_t row = 0; row < rows; ++row) {
    double squares = 0.0;
    for (std::size_t j = 0; j < dims; ++j) {
      const double centred = static_cast<double>(features[row * dims + j]) - mean[j];
      squares += centred * centred;
    }
    const double scale = squares > 0.0 ? 1.0 / std::sqrt(squares) : 0.0;
    for (std::size_t j = 0; j < dims; ++j) {
      directions[row * dims + j] =
          static_cast<float>((static_cast<double>(features[row * dims + j]) - mean[j]) * scale);
    }
  }
  return directions;
}

double SquaredDistance(const float* a, const float* b, std::size_t dims) {
  double sum = 0.0;
  for (std::size_t j = 0; j < dims; ++j) {
    const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
    sum += difference * difference;
  }
  return sum;
}

struct Centres {
  std::vector<float> vectors;
  std::vector<std::uint32_t> cluster_of;
  double spread = std::numeric_limits<double>::infinity();  // Summed squared distances.
};

// k-means++ (Arthur and Vassilvitskii 2007): each next centre is a row drawn with a chance in
// proportion to its squared distance from the centres there are.
std::vector<float> DrawCentres(const std::vector<float>& points, std::size_t dims,
                               std::size_t clusters, base::Random& random) {
  const std::size_t rows = points.size() / dims;
  std::vector<float> centres;
  std::vector<double> nearest(rows, std::numeric_limits<double>::infinity());
  std::size_t next = static_cast<std::size_t>(random.Below(rows));
  while (centres.size() < clusters * dims) {
    centres.insert(centres.end(), points.begin() + static_cast<std::ptrdiff_t>(next * dims),
                   points.begin() + static_cast<std::ptrdiff_t>((next + 1) * dims));
    const float* newest = centres.data() + centres.size() - dims;
    double total = 0.0;
    for (std::size_t row = 0; row < rows; ++row) {
      nearest[row] =
          std::min(nearest[row], SquaredDistance(points.data() + row * dims, newest, dims));
      total += nearest[row];
    }
    if (!(total > 0.0)) break;  // Every row equals a centre: there are no more clusters to find.
    double mark = random.Uniform() * total;
    next = rows - 1;
    for (std::size_t row = 0; row < rows; ++row) {
      mark -= nearest[row];
      if (mark < 0.0) {
        next = row;
        break;
      }
    }
    if (nearest[next] == 0.0) {  // Rounding left `mark` at the end of the list.
      next = static_cast<std::size_t>(std::max_element(nearest.begin(), nearest.end()) -
                                      nearest.begin());
    }
  }
  return centres;
}

Centres Settle(const std::vector<float>& points, std::size_t dims, std::vector<float> centres,
               std::uint32_t rounds_max) {
  const std::size_t rows = points.size() / dims;
  const std::size_t clusters = centres.size() / dims;
  Centres settled;
  settled.cluster_of.assign(rows, 0);
  for (std::uint32_t round = 0; round < rounds_max; ++round) {
    bool changed = round == 0;
    settled.spread = 0.0;
    for (std::size_t row = 0; row < rows; ++row) {
      double best = std::numeric_limits<double>::infinity();
      std::uint32_t best_cluster = 0;
      for (std::size_t c = 0; c < clusters; ++c) {
        const double distance =
            SquaredDistance(points.data() + row * dims, centres.data() + c * dims, dims);
        if (distance < best) {
          best = distance;
          best_cluster = static_cast<std::uint32_t>(c);
        }
      }
      changed |= settled.cluster_of[row] != best_cluster;
      settled.cluster_of[row] = best_cluster;
      settled.spread += best;
    }
    if (!changed) break;
    std::vector<double> sums(clusters * dims, 0.0);
    std::vector<std::size_t> counts(clusters, 0);
    for (std::size_t row = 0; row < rows; ++row) {
      const std::size_t c = settled.cluster_of[row];
      ++counts[c];
      for (std::size_t j = 0; j < dims; ++j) {
        sums[c * dims + j] += static_cast<double>(points[row * dims + j]);
      }
    }
    for (std::size_t c = 0; c < clusters; ++c) {
      if (counts[c] == 0) continue;  // An empty cluster keeps its centre.
      for (std::size_t j = 0; j < dims; ++j) {
        centres[c * dims + j] =
            static_cast<float>(sums[c * dims + j] / static_cast<double>(counts[c]));
      }
    }
  }
  settled.vectors = std::move(centres);
  return settled;
}

}  // namespace

Clustering Cluster(std::span<const float> features, std::size_t dims,
                   const ClusterOptions& options) {
  CHECK(dims > 0 && features.size() % dims == 0);
  const std::size_t rows = features.size() / dims;
  Clustering clustering;
  if (rows == 0 || options.clusters == 0) return clustering;

  const std::vector<float> points = Directions(features, dims);
  const std::size_t clusters = std::min<std::size_t>(options.clusters, rows);
  base::Random random(options.seed);
  Centres best;
  for (std::uint32_t start = 0; start < std::max(1u, options.starts); ++start) {
    Centres settled = Settle(points, dims, DrawCentres(points, dims, clusters, random),
                             std::max(1u, options.rounds_max));
    if (settled.spread < best.spread) best = std::move(settled);
  }

  // Numbered anew without the empty ones, in the order of their first row.
  const std::size_t found = best.vectors.size() / dims;
  std::vector<std::uint32_t> number(found, static_cast<std::uint32_t>(found));
  std::vector<double> nearest;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::uint32_t c = best.cluster_of[row];
    if (number[c] == found) {
      number[c] = static_cast<std::uint32_t>(clustering.medoids.size());
      clustering.medoids.push_back(static_cast<std::uint32_t>(row));
      clustering.masses.push_back(0.0f);
      nearest.push_back(std::numeric_limits<double>::infinity());
    }
    const std::uint32_t n = number[c];
    clustering.cluster_of.push_back(n);
    clustering.masses[n] += 1.0f / static_cast<float>(rows);
    const double distance =
        SquaredDistance(points.data() + row * dims, best.vectors.data() + c * dims, dims);
    if (distance < nearest[n]) {
      nearest[n] = distance;
      clustering.medoids[n] = static_cast<std::uint32_t>(row);
    }
  }
  return clustering;
}

Clustering ClusterAround(std::span<const float> features, std::size_t dims,
                         std::span<const std::uint32_t> centres) {
  CHECK(dims > 0 && features.size() % dims == 0 && !centres.empty());
  const std::size_t rows = features.size() / dims;
  const std::vector<float> points = Directions(features, dims);
  Clustering clustering;
  clustering.medoids.assign(centres.begin(), centres.end());
  clustering.masses.assign(centres.size(), 0.0f);
  for (std::size_t row = 0; row < rows; ++row) {
    double best = std::numeric_limits<double>::infinity();
    std::uint32_t best_cluster = 0;
    for (std::size_t c = 0; c < centres.size(); ++c) {
      CHECK(centres[c] < rows);
      const double distance =
          SquaredDistance(points.data() + row * dims, points.data() + centres[c] * dims, dims);
      if (distance < best) {
        best = distance;
        best_cluster = static_cast<std::uint32_t>(c);
      }
    }
    clustering.cluster_of.push_back(best_cluster);
    clustering.masses[best_cluster] += 1.0f / static_cast<float>(rows);
  }
  return clustering;
}

}  // namespace tinylcm::adapt
