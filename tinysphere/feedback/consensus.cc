#include "tinysphere/feedback/consensus.h"

#include <map>

namespace tinysphere::feedback {

std::optional<Consensus> Agree(std::span<const Word> words) {
  if (words.empty()) return std::nullopt;
  std::map<std::string, int> votes;
  for (const Word& word : words) votes[word.label] += 1;
  const Word* best = nullptr;
  // Oldest first, so that of labels with as many votes the newest word's stays.
  for (const Word& word : words) {
    if (best == nullptr || votes[word.label] >= votes[best->label]) best = &word;
  }
  return Consensus{
      .label = best->label,
      .by = best->by,
      .at = best->at,
      .weight = static_cast<double>(votes[best->label]) / static_cast<double>(words.size()),
      .reviewers = static_cast<std::int64_t>(words.size())};
}

}  // namespace tinysphere::feedback
