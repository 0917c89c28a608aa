#include "tinylcm/adapt/eviction.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <vector>

namespace tinylcm::adapt {

std::optional<Eviction> WhoGivesWay(std::span<const EvictionCandidate> candidates) {
  struct Group {
    std::size_t samples = 0;
    bool has_free = false;
  };
  std::map<std::uint16_t, Group> groups;
  for (const EvictionCandidate& candidate : candidates) {
    Group& group = groups[candidate.group];
    ++group.samples;
    group.has_free |= !candidate.is_held;
  }
  const std::pair<const std::uint16_t, Group>* largest = nullptr;
  for (const auto& group : groups) {
    if (!group.second.has_free) continue;
    if (largest == nullptr || group.second.samples > largest->second.samples) largest = &group;
  }
  if (largest == nullptr) return std::nullopt;

  std::vector<std::size_t> members;
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].group == largest->first) members.push_back(i);
  }
  std::stable_sort(members.begin(), members.end(), [&](std::size_t a, std::size_t b) {
    return candidates[a].novelty < candidates[b].novelty;
  });
  const auto novelty = [&](std::size_t at) {
    return static_cast<double>(candidates[members[at]].novelty);
  };
  // Both ends are the last to go: behind them a part of the class would be missing.
  std::optional<std::size_t> chosen;
  double closest = std::numeric_limits<double>::infinity();
  for (std::size_t at = 0; at < members.size(); ++at) {
    if (candidates[members[at]].is_held) continue;
    const bool is_end = at == 0 || at + 1 == members.size();
    const double gap =
        is_end ? std::numeric_limits<double>::max() : novelty(at + 1) - novelty(at - 1);
    const bool is_older = chosen && gap == closest && members[at] < members[*chosen];
    if (gap < closest || is_older) {
      closest = gap;
      chosen = at;
    }
  }
  Eviction eviction{.gives_way = members[*chosen], .heir = {}};
  if (members.size() > 1) {
    const std::size_t at = *chosen;
    const bool is_before =
        at + 1 == members.size() ||
        (at > 0 && novelty(at) - novelty(at - 1) <= novelty(at + 1) - novelty(at));
    eviction.heir = members[is_before ? at - 1 : at + 1];
  }
  return eviction;
}

}  // namespace tinylcm::adapt
