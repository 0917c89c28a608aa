// Clustering a quarantine, so that few labels cover the most samples.
//
// k-means on features of unit length (k-means++, several starts, the tightest wins); of each
// cluster the sample nearest its centre is the one to ask a person about. A cluster that holds a
// dense group apart from the rest can be split. Same seed, same answer.

#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tinylcm::adapt {

struct Clustering {
  std::vector<std::uint32_t> cluster_of;  // One a row.
  std::vector<std::uint32_t> medoids;     // The row nearest each cluster's centre.
  std::vector<float> masses;              // Each cluster's share of the rows; they sum to 1.
};

struct ClusterOptions {
  std::uint32_t clusters = 24;  // Fewer where there are fewer different rows.
  std::uint32_t starts = 3;
  std::uint32_t rounds_max = 50;
  std::uint64_t seed = 1;
};

// REQUIRES: features.size() is a multiple of dims. No rows: nothing in the answer.
Clustering Cluster(std::span<const float> features, std::size_t dims,
                   const ClusterOptions& options);

struct SplitOptions {
  std::uint32_t group_min = 4;  // Rows; fewer are no group.
  // A cloud cut in two has rows close by on both sides of the cut, in however many dimensions. Two
  // groups have a gap: to the other half it is this many times as far (the nearest twentieth of the
  // rows) as within a half to the nearest (the farthest tenth).
  double gap_min = 1.0;
  std::uint64_t seed = 1;
};

// Parts every cluster that is two groups apart from each other in `features`, again and again; what
// is one group stays as it is, numbers and medoids included, and new clusters come behind. Cost:
// the square of the largest cluster's rows.
Clustering SplitGroups(Clustering clustering, std::span<const float> features, std::size_t dims,
                       const SplitOptions& options);

// Clusters re-formed around given rows: each row joins the nearest of `centres`, ties to the
// earlier. Used once the labelled samples are known; medoids are the centres themselves. REQUIRES:
// centres not empty.
Clustering ClusterAround(std::span<const float> features, std::size_t dims,
                         std::span<const std::uint32_t> centres);

}  // namespace tinylcm::adapt
