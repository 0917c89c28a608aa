// Eviction: which sample gives way when a quarantine is full.
//
// Of the largest group (samples answered alike) the one that is missed least: the one whose two
// neighbours in novelty lie closest together. So no class crowds out another, and within a class
// the near and the far ones, and all between them, stay there. Pure; a pass over the samples and a
// sort of one group.

#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

namespace tinylcm::adapt {

struct EvictionCandidate {
  std::uint16_t group = 0;  // The class it was answered as, or the label a person gave it.
  float novelty = 0.0f;
  bool is_held = false;  // Labelled, or a person is being asked about it: it never gives way.
};

struct Eviction {
  std::size_t gives_way = 0;  // Index among the candidates.
  // The one most like it, which stands for it from now on: same group, nearest in novelty; nothing
  // where it was the last of its group.
  std::optional<std::size_t> heir;
  friend bool operator==(const Eviction&, const Eviction&) = default;
};

// Candidates in order of arrival; ties go to the lower group, then to the older sample. Nothing
// where every one is held.
std::optional<Eviction> WhoGivesWay(std::span<const EvictionCandidate> candidates);

}  // namespace tinylcm::adapt
