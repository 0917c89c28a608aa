// PseudoLabels: what models say themselves, remembered as if a person had said it. Off by default.
//
// A memory fed with its own answers collapses. So only whole clusters are believed, and of them
// those that
//
//   stand apart       mean silhouette (Rousseeuw 1987) of at least .25, below which Kaufman and
//                     Rousseeuw (1990) speak of no structure
//   are agreed upon   at least 9 in 10 members get one and the same answer from the bundle alone,
//                     and again from it behind an alignment of mean and variance with the anchors
//   are not far off   at least 9 in 10 members lie no farther from the anchors than 99 in 100
//                     held-out samples of that class
//
// Of such a cluster the members for which all of that is so are remembered, nearest to the anchors
// first, and in all at most half as many a class as it has anchors. The feature is left as it is.
// No person stands behind any of it: it goes when labels come, at the next alarm, and after
// MachineOptions::pseudo_life samples (machine.h).

#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "tinylcm/adapt/adaptation.h"
#include "tinylcm/adapt/challenger.h"
#include "tinylcm/classify/knn_classifier.h"

namespace tinylcm::adapt {

struct PseudoRule {
  double silhouette_min = 0.25;
  double share_min = 0.9;           // Of the members: agreed upon, and not far off.
  double rank_max = 0.99;           // Of the held-out distances.
  double anchors_share_max = 0.5;   // Remembered of a class, at most, for each of its anchors.
  std::uint32_t members_min = 5;    // Fewer are no cluster.
  std::uint32_t held_out_min = 10;  // Fewer held-out distances: what is usual is not known.
  float weight = 1.0f;              // Of a remembered vector's vote.
  std::uint64_t seed = 1;
};

struct PseudoCluster {
  std::uint32_t medoid = 0;  // Row.
  std::uint32_t members = 0;
  double silhouette = 0.0;
  std::uint16_t label = 0;      // The answer most of them get from the bundle alone.
  double agreed_alone = 0.0;    // Share of the members with that answer, alone...
  double agreed_aligned = 0.0;  // ...and behind the alignment.
  double within = 0.0;          // Share no farther than usual.
  bool is_believed = false;
};

struct PseudoLabels {
  std::vector<PseudoCluster> clusters;
  // Of kind Memory::kPseudo; provenance names row and cluster. No memory where none is believed.
  Challenger challenger;
};

// `features`: rows x dims since the alarm, in the input space that serves. `usual`: a class, the
// ascending distances of held-out samples to the anchors (model::Reference::rank). As many clusters
// are looked for as the bundle has classes. Pure; same input, same bits.
// kInvalidArgument for sizes that do not fit, or a classifier with a memory.
base::Result<PseudoLabels> MakePseudoLabels(classify::KnnClassifier& knn,
                                            std::span<const std::vector<float>> usual,
                                            std::span<const float> features,
                                            const PseudoRule& rule);

// `rows[i]` is the sample of feature row i. Every entry is of LabelOrigin::kPseudo and taught by
// its cluster's medoid.
Adaptation ComposePseudo(const std::string& bundle, const std::string& event_id,
                         const InputHypothesis& hypothesis, const PseudoLabels& labels,
                         std::span<const std::string> rows);

bool HasPseudo(const Adaptation& adaptation);
// What is left without them: the input that was put right.
Adaptation WithoutPseudo(const Adaptation& adaptation);

}  // namespace tinylcm::adapt
