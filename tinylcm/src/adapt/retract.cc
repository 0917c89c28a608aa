#include "tinylcm/adapt/retract.h"

#include <algorithm>

namespace tinylcm::adapt {

bool IsTaughtBy(const Adaptation& adaptation, std::span<const std::string> sample_ids) {
  const auto is_retracted = [&](const std::string& id) {
    return std::ranges::find(sample_ids, id) != sample_ids.end();
  };
  return std::ranges::any_of(adaptation.labels, is_retracted, &Label::sample_id) ||
         std::ranges::any_of(adaptation.entries, [&](const MemoryEntry& entry) {
           return is_retracted(entry.sample_id) || is_retracted(entry.taught_by);
         });
}

Adaptation WithoutWhatTheyTaught(const Adaptation& adaptation,
                                 std::span<const std::string> sample_ids) {
  return IsTaughtBy(adaptation, sample_ids) ? adaptation.InputAlone() : adaptation;
}

}  // namespace tinylcm::adapt
