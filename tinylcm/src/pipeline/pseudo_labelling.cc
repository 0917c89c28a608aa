#include "tinylcm/src/pipeline/pseudo_labelling.h"

#include <memory>
#include <utility>

#include "base/text.h"
#include "tinylcm/adapt/pseudo_labels.h"
#include "tinylcm/src/pipeline/judging.h"

namespace tinylcm::pipeline {

using base::Result;
using base::StrCat;

Result<PseudoLabelled> MakePseudo(Serving& bench, const adapt::Quarantine& quarantine,
                                  const adapt::Adaptation& served, const std::string& event_id,
                                  std::uint64_t seed) {
  PseudoLabelled out;
  ASSIGN_OR_RETURN(const Embedded embedded,
                   EmbedQuarantine(bench, quarantine, served.hypothesis, Events::kCurrent));
  if (!embedded.labels.empty()) {
    out.why = "a person has labelled some of the samples";
    return out;
  }
  ASSIGN_OR_RETURN(const adapt::PseudoLabels labels,
                   adapt::MakePseudoLabels(bench.classifier(), bench.bundle().reference.rank,
                                           embedded.features, {.seed = seed}));
  std::size_t believed = 0;
  for (const adapt::PseudoCluster& cluster : labels.clusters) believed += cluster.is_believed;
  out.why = StrCat(believed, " of ", labels.clusters.size(), " clusters are believed, ",
                   labels.challenger.memory.size(), " of their samples remembered");
  if (labels.challenger.memory.size() == 0) return out;
  out.adaptation = std::make_shared<const adapt::Adaptation>(adapt::ComposePseudo(
      bench.bundle().bundle, event_id, served.hypothesis, labels, embedded.ids));
  return out;
}

}  // namespace tinylcm::pipeline
