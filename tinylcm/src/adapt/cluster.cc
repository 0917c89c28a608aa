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

// Whether both halves are groups with a gap between them.
bool AreTwoGroups(const std::vector<float>& points, std::size_t dims,
                  const std::vector<std::uint32_t>& half_of, std::size_t group_min,
                  double gap_min) {
  const std::size_t rows = half_of.size();
  std::size_t count[2] = {0, 0};
  for (const std::uint32_t half : half_of) ++count[half];
  if (count[0] < group_min || count[1] < group_min) return false;
  constexpr double kNone = std::numeric_limits<double>::infinity();
  std::vector<double> within(rows, kNone), across(rows, kNone);
  for (std::size_t a = 0; a < rows; ++a) {
    for (std::size_t b = a + 1; b < rows; ++b) {
      const double distance =
          SquaredDistance(points.data() + a * dims, points.data() + b * dims, dims);
      std::vector<double>& nearest = half_of[a] == half_of[b] ? within : across;
      nearest[a] = std::min(nearest[a], distance);
      nearest[b] = std::min(nearest[b], distance);
    }
  }
  std::ranges::sort(within);
  std::ranges::sort(across);
  const double inside = std::sqrt(within[(rows - 1) * 9 / 10]);
  const double gap = std::sqrt(across[(rows - 1) / 20]);
  return gap > gap_min * inside;
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

Clustering SplitGroups(Clustering clustering, std::span<const float> features, std::size_t dims,
                       const SplitOptions& options) {
  CHECK(dims > 0 && features.size() == clustering.cluster_of.size() * dims);
  const std::size_t rows = clustering.cluster_of.size();
  const std::size_t group_min = std::max<std::size_t>(2, options.group_min);
  base::Random random(options.seed);
  // A part that was just made is looked at again; what was found whole is left.
  for (std::uint32_t c = 0; c < clustering.medoids.size(); ++c) {
    for (;;) {
      std::vector<std::uint32_t> members;
      std::vector<float> points;
      for (std::uint32_t row = 0; row < rows; ++row) {
        if (clustering.cluster_of[row] != c) continue;
        members.push_back(row);
        points.insert(points.end(), features.begin() + static_cast<std::ptrdiff_t>(row * dims),
                      features.begin() + static_cast<std::ptrdiff_t>((row + 1) * dims));
      }
      if (members.size() < 2 * group_min) break;
      Centres halves;
      for (int start = 0; start < 3; ++start) {
        Centres settled = Settle(points, dims, DrawCentres(points, dims, 2, random), 50);
        if (settled.spread < halves.spread) halves = std::move(settled);
      }
      if (!AreTwoGroups(points, dims, halves.cluster_of, group_min, options.gap_min)) break;

      // The half of the first row keeps the number.
      const auto part = static_cast<std::uint32_t>(clustering.medoids.size());
      const std::uint32_t stays = halves.cluster_of[0];
      clustering.medoids.push_back(0);
      clustering.masses.push_back(0.0f);
      clustering.masses[c] = 0.0f;
      double nearest[2] = {std::numeric_limits<double>::infinity(),
                           std::numeric_limits<double>::infinity()};
      for (std::size_t i = 0; i < members.size(); ++i) {
        const std::uint32_t half = halves.cluster_of[i];
        const std::uint32_t number = half == stays ? c : part;
        clustering.cluster_of[members[i]] = number;
        clustering.masses[number] += 1.0f / static_cast<float>(rows);
        const double distance =
            SquaredDistance(points.data() + i * dims, halves.vectors.data() + half * dims, dims);
        if (distance < nearest[half]) {
          nearest[half] = distance;
          clustering.medoids[number] = members[i];
        }
      }
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
