// RankSketch: where a value stands among all that came before, exactly, in a few hundred bytes.
//
// Picture a fence along the line of all numbers. Each value that comes first is a new post, and
// splits a gap in two. Who comes next is as likely to land in one gap as in another, whatever the
// distribution: n posts make n + 1 gaps of weight 1. When there are posts enough, two neighbouring
// gaps are made one of their weight taken together (fine at the ends, coarse in the middle), and a
// value that lands in a wide gap only adds 1 to its weight: where in it the value lay says nothing
// about the shares of the gaps. Given the posts, these shares are Dirichlet distributed with the
// weights, so
//
//   rank = (weight to the left + U * the gap's own weight) / all weight        U uniform on (0, 1)
//
// is uniform, and independent of every rank before it, for any n from 0 on and any distribution. A
// sample of fixed size (a reservoir) is not: it is off by its own chance, always to the same side,
// and a limit that chance passes once in 100,000 values is passed twice as often
// (docs/decisions/0008-ranks-by-a-polya-sketch.md).
//
// The gaps at both ends always keep weight 1: what is larger than all n before gets more than
// n / (n + 1). Equal values are told apart by a drawn tie-breaker that travels with the value.
//
// Blackwell and MacQueen, "Ferguson distributions via Polya urn schemes" (1973); merging by q(1-q)
// after Dunning and Ertl, "Computing extremely accurate quantiles using t-digests" (2019).

#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <limits>

#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

// Plain memory, 352 bytes; may be copied. Not thread-safe. Cost: one pass over the posts.
class RankSketch {
 public:
  static constexpr std::uint32_t kEdges = 24;

  // A value and what tells it from its equals: drawn at random. Where the ties of two are equal as
  // well, the newcomer's `coins` are thrown, one a post; they are not kept.
  // REQUIRES: value is finite.
  struct Key {
    float value = 0.0f;
    std::uint16_t tie = 0;
    std::uint8_t coins = 0;
  };

  // Between posts `at` - 1 and `at`.
  struct Gap {
    std::uint32_t at = 0;
    std::uint32_t below = 0;   // Weight of all gaps to the left, with those held ...
    std::uint32_t weight = 0;  // ... and of this one without them.
    std::uint32_t held = 0;    // Values held in this gap.
  };

  RankSketch() { Clear(); }
  void Clear();

  // Where the value lands.
  Gap Find(const Key& key) const {
    // Without a branch and always over all posts, so that the compiler makes vectors of it.
    std::uint32_t at = 0;
    std::uint32_t below = 0;
    for (std::uint32_t i = 0; i < kEdges; ++i) {
      const std::uint32_t is_less = values_[i] < key.value ? ~0u : 0u;
      at -= is_less;
      below += with_held_[i] & is_less;
    }
    if (at < edges_ && values_[at] == key.value) PassEquals(key, at, below);
    return {at, below, weights_[at], with_held_[at] - weights_[at]};
  }

  static constexpr std::uint32_t kNoPost = kEdges;
  // Takes the value in for good. Where that split a gap in which others are held: the new post's
  // place (else kNoPost); whoever holds them then says by SetHeld which of the two gaps each is in.
  // REQUIRES: found == Find(key).
  std::uint32_t Add(const Key& key, const Gap& found);
  std::uint32_t Add(const Key& key) { return Add(key, Find(key)); }

  // A value waits to be taken in: it counts like one that was, but splits nothing and can be let
  // go.
  void Hold(const Gap& found) {
    with_held_[found.at] += 1;
    held_ += 1;
  }
  // A value that was held is taken in for good. As Add.
  std::uint32_t Settle(const Key& key);
  // All that are held are let go.
  void Release();
  // Of the values held in gaps `at` and `at` + 1, `left` are in the first.
  void SetHeld(std::uint32_t at, std::uint32_t left);

  // The rank among all taken in and held, uniform when `draw` is, where no value is held in a gap
  // of weight 1. REQUIRES: 0 < draw < 1.
  double Rank(const Key& key, double draw) const {
    const Gap gap = Find(key);
    return (gap.below + draw * (gap.weight + gap.held)) / (total_ + held_);
  }

  // Weight of all gaps: the number of values taken in and 1 (until it was halved).
  std::uint32_t total() const { return total_; }
  std::uint32_t held() const { return held_; }
  std::uint32_t edges() const { return edges_; }
  // REQUIRES: at < edges().
  Key edge(std::uint32_t at) const { return {values_[at], ties_[at], 0}; }
  std::uint32_t weight(std::uint32_t at) const { return weights_[at]; }  // at <= edges().

  // Totals beyond this are halved, gap by gap: the newest half billion then weigh twice.
  static constexpr std::uint32_t kTotalMax = 1u << 30;
  void Halve();

  // What is held is not written: whoever holds it does, and holds it anew.
  void Write(StateWriter& writer) const;
  // Refuses (in the reader) what no values could have left behind; then the sketch is empty.
  void Read(StateReader& reader);

  friend bool operator==(const RankSketch&, const RankSketch&) = default;

 private:
  void Merge();
  void PassEquals(const Key& key, std::uint32_t& at, std::uint32_t& below) const;

  // Posts beyond edges_ stand at infinity, so that a pass is always over all of them.
  std::array<float, kEdges> values_;
  std::array<std::uint16_t, kEdges> ties_;
  std::array<std::uint32_t, kEdges + 1> weights_;
  std::array<std::uint32_t, kEdges + 1> with_held_;  // The weights and those held.
  std::uint32_t edges_ = 0;
  std::uint32_t total_ = 1;
  std::uint32_t held_ = 0;
};

}  // namespace tinylcm::drift
