#include "tinylcm/adapt/pseudo_labels.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "base/check.h"
#include "base/text.h"
#include "tinylcm/adapt/cluster.h"

namespace tinylcm::adapt {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;

namespace {

double Distance(std::span<const float> a, std::span<const float> b) {
  double sum = 0.0;
  for (std::size_t j = 0; j < a.size(); ++j) {
    const double difference = static_cast<double>(a[j]) - static_cast<double>(b[j]);
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

// Mean silhouette a cluster: how much nearer its rows are to each other than to the next cluster.
// One cluster alone stands apart from nothing: 0.
std::vector<double> Silhouettes(std::span<const float> features, std::size_t dims,
                                const Clustering& clustering) {
  const std::size_t rows = clustering.cluster_of.size();
  const std::size_t clusters = clustering.medoids.size();
  std::vector<std::size_t> members(clusters, 0);
  for (const std::uint32_t c : clustering.cluster_of) ++members[c];
  std::vector<double> sums(rows * clusters, 0.0);  // Of each row's distances to each cluster.
  for (std::size_t a = 0; a < rows; ++a) {
    for (std::size_t b = a + 1; b < rows; ++b) {
      const double distance =
          Distance(features.subspan(a * dims, dims), features.subspan(b * dims, dims));
      sums[a * clusters + clustering.cluster_of[b]] += distance;
      sums[b * clusters + clustering.cluster_of[a]] += distance;
    }
  }
  std::vector<double> silhouettes(clusters, 0.0);
  if (clusters < 2) return silhouettes;
  for (std::size_t row = 0; row < rows; ++row) {
    const std::uint32_t own = clustering.cluster_of[row];
    if (members[own] < 2) continue;
    double other = std::numeric_limits<double>::infinity();
    for (std::size_t c = 0; c < clusters; ++c) {
      if (c == own || members[c] == 0) continue;
      other = std::min(other, sums[row * clusters + c] / static_cast<double>(members[c]));
    }
    const double within = sums[row * clusters + own] / static_cast<double>(members[own] - 1);
    const double larger = std::max(within, other);
    if (larger > 0.0) {
      silhouettes[own] += (other - within) / larger / static_cast<double>(members[own]);
    }
  }
  return silhouettes;
}

// The distance below which lie `rank` of them; infinitely little where too few are known.
float UsualAtMost(const std::vector<float>& usual, const PseudoRule& rule) {
  if (usual.empty() || usual.size() < rule.held_out_min) {
    return -std::numeric_limits<float>::infinity();
  }
  const double at = std::ceil(rule.rank_max * static_cast<double>(usual.size())) - 1.0;
  const auto i = static_cast<std::size_t>(std::max(0.0, at));
  return usual[std::min(i, usual.size() - 1)];
}

// What the two challengers make of a row.
struct Voted {
  std::uint16_t alone = 0;
  std::uint16_t aligned = 0;
  float distance = 0.0f;  // To the anchors, alone.
};

std::vector<Voted> Vote(classify::KnnClassifier& knn, std::span<const float> features,
                        const FeatureTransform& alignment) {
  const std::size_t dims = knn.dims();
  std::vector<Voted> voted(features.size() / dims);
  std::vector<float> aligned(dims);
  for (std::size_t row = 0; row < voted.size(); ++row) {
    const std::span<const float> feature = features.subspan(row * dims, dims);
    const classify::Prediction alone = knn.Classify(feature);
    voted[row].alone = alone.nearest;
    voted[row].distance = alone.anchor_distance;
    std::copy(feature.begin(), feature.end(), aligned.begin());
    alignment.Apply(aligned);
    voted[row].aligned = knn.Classify(aligned).nearest;
  }
  return voted;
}

}  // namespace

Result<PseudoLabels> MakePseudoLabels(classify::KnnClassifier& knn,
                                      std::span<const std::vector<float>> usual,
                                      std::span<const float> features, const PseudoRule& rule) {
  const std::size_t dims = knn.dims();
  const std::uint32_t classes = knn.options().classes;
  if (features.size() % dims != 0 || usual.size() != classes) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("pseudo-labels: ", features.size(), " numbers for features of ", dims,
                        ", and what is usual of ", usual.size(), " of ", classes, " classes")};
  }
  if (knn.memory().size() > 0) {
    return Error{ErrorCode::kInvalidArgument, "pseudo-labels: the classifier has a memory already"};
  }
  PseudoLabels out;
  out.challenger.kind.memory = Memory::kPseudo;
  out.challenger.memory.dims = dims;
  const std::size_t rows = features.size() / dims;
  const ClassMoments anchors = ClassMoments::Of(knn.anchors(), classes);
  // No labels tell the shares of the classes: the stream is expected to hold what the anchors hold.
  // Where it does not, the second opinion differs, and less is believed.
  const FeatureTransform alignment =
      Align(Alignment::kMeanVariance, features, anchors, anchors.shares);
  if (rows == 0 || alignment.is_identity()) return out;  // There is no second opinion.

  const Clustering clustering =
      SplitGroups(Cluster(features, dims, {.clusters = classes, .starts = 5, .seed = rule.seed}),
                  features, dims, {.seed = rule.seed});
  const std::vector<double> silhouettes = Silhouettes(features, dims, clustering);
  const std::vector<Voted> voted = Vote(knn, features, alignment);
  struct Candidate {
    std::uint32_t row = 0;
    std::uint32_t cluster = 0;
  };
  std::vector<std::vector<Candidate>> candidates(classes);
  for (std::uint32_t c = 0; c < clustering.medoids.size(); ++c) {
    PseudoCluster cluster;
    cluster.medoid = clustering.medoids[c];
    cluster.silhouette = silhouettes[c];
    std::vector<std::uint32_t> members;
    std::vector<std::uint32_t> votes(classes, 0);
    for (std::uint32_t row = 0; row < rows; ++row) {
      if (clustering.cluster_of[row] != c) continue;
      members.push_back(row);
      ++votes[voted[row].alone];
    }
    cluster.members = static_cast<std::uint32_t>(members.size());
    cluster.label =
        static_cast<std::uint16_t>(std::max_element(votes.begin(), votes.end()) - votes.begin());
    const float usual_at_most = UsualAtMost(usual[cluster.label], rule);
    std::vector<Candidate> good;
    for (const std::uint32_t row : members) {
      const bool is_agreed_alone = voted[row].alone == cluster.label;
      const bool is_agreed_aligned = voted[row].aligned == cluster.label;
      const bool is_within = voted[row].distance <= usual_at_most;
      const double one = 1.0 / static_cast<double>(members.size());
      if (is_agreed_alone) cluster.agreed_alone += one;
      if (is_agreed_aligned) cluster.agreed_aligned += one;
      if (is_within) cluster.within += one;
      if (is_agreed_alone && is_agreed_aligned && is_within) good.push_back({row, c});
    }
    constexpr double kRounding = 1e-9;  // Of shares that are sums.
    const double least = rule.share_min - kRounding;
    cluster.is_believed =
        cluster.members >= rule.members_min && cluster.silhouette >= rule.silhouette_min &&
        cluster.agreed_alone >= least && cluster.agreed_aligned >= least && cluster.within >= least;
    if (cluster.is_believed) {
      candidates[cluster.label].insert(candidates[cluster.label].end(), good.begin(), good.end());
    }
    out.clusters.push_back(cluster);
  }

  for (std::uint32_t label = 0; label < classes; ++label) {
    std::ranges::stable_sort(candidates[label], [&](const Candidate& a, const Candidate& b) {
      return voted[a.row].distance < voted[b.row].distance;
    });
    const auto of_class = std::ranges::count(knn.anchors().labels, label);
    const auto most =
        static_cast<std::size_t>(rule.anchors_share_max * static_cast<double>(of_class));
    if (candidates[label].size() > most) candidates[label].resize(most);
    for (const Candidate& candidate : candidates[label]) {
      out.challenger.memory.Add(features.subspan(candidate.row * dims, dims),
                                static_cast<std::uint16_t>(label), rule.weight);
      out.challenger.provenance.push_back({candidate.row, candidate.cluster});
    }
  }
  return out;
}

Adaptation ComposePseudo(const std::string& bundle, const std::string& event_id,
                         const InputHypothesis& hypothesis, const PseudoLabels& labels,
                         std::span<const std::string> rows) {
  Adaptation adaptation;
  adaptation.bundle = bundle;
  adaptation.event_id = event_id;
  adaptation.hypothesis = hypothesis;
  adaptation.challenger = labels.challenger.kind;
  adaptation.memory = labels.challenger.memory;
  for (const Provenance& provenance : labels.challenger.provenance) {
    const std::uint32_t medoid = labels.clusters[provenance.taught_by].medoid;
    CHECK(provenance.row < rows.size() && medoid < rows.size());
    adaptation.entries.push_back({.sample_id = rows[provenance.row],
                                  .taught_by = rows[medoid],
                                  .feedback_id = {},
                                  .origin = LabelOrigin::kPseudo,
                                  .cluster = provenance.taught_by});
  }
  return adaptation;
}

bool HasPseudo(const Adaptation& adaptation) {
  return adaptation.challenger.memory == Memory::kPseudo;
}

Adaptation WithoutPseudo(const Adaptation& adaptation) {
  return HasPseudo(adaptation) ? adaptation.InputAlone() : adaptation;
}

}  // namespace tinylcm::adapt
