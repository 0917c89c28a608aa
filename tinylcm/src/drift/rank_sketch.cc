#include "tinylcm/drift/rank_sketch.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"

namespace tinylcm::drift {

void RankSketch::Clear() {
  values_.fill(std::numeric_limits<float>::infinity());
  ties_.fill(0);
  weights_.fill(0);
  weights_[0] = 1;
  with_held_ = weights_;
  edges_ = 0;
  total_ = 1;
  held_ = 0;
}

void RankSketch::PassEquals(const Key& key, std::uint32_t& at, std::uint32_t& below) const {
  std::uint32_t coins = key.coins;
  while (at < edges_ && values_[at] == key.value && ties_[at] <= key.tie) {
    if (ties_[at] == key.tie) {
      if ((coins & 1u) == 0) return;
      coins >>= 1;
    }
    below += with_held_[at++];
  }
}

std::uint32_t RankSketch::Add(const Key& key, const Gap& found) {
  Gap gap = found;
  if (gap.weight == 1 && edges_ == kEdges) {
    // Room first: the newcomer's gap may be among those merged, and then takes it in as a wide one.
    Merge();
    gap = Find(key);
  }
  ++total_;
  if (gap.weight > 1) {
    weights_[gap.at] += 1;
    with_held_[gap.at] += 1;
    if (total_ > kTotalMax) Halve();
    return kNoPost;
  }
  for (std::uint32_t i = edges_; i > gap.at; --i) {
    values_[i] = values_[i - 1];
    ties_[i] = ties_[i - 1];
    weights_[i + 1] = weights_[i];
    with_held_[i + 1] = with_held_[i];
  }
  values_[gap.at] = key.value;
  ties_[gap.at] = key.tie;
  weights_[gap.at] = 1;
  weights_[gap.at + 1] = 1;
  with_held_[gap.at] = 1 + gap.held;
  with_held_[gap.at + 1] = 1;
  ++edges_;
  if (total_ > kTotalMax) Halve();
  return gap.held > 0 ? gap.at : kNoPost;
}

std::uint32_t RankSketch::Settle(const Key& key) {
  CHECK(held_ > 0);
  Gap gap = Find(key);
  // A post that came between, equal to the value down to its tie, may have moved it by a coin: then
  // it is held in a gap beside.
  std::uint32_t at = gap.at;
  for (std::uint32_t off = 1; with_held_[at] == weights_[at]; ++off) {
    if (gap.at >= off && with_held_[gap.at - off] > weights_[gap.at - off]) at = gap.at - off;
    if (gap.at + off <= edges_ && with_held_[gap.at + off] > weights_[gap.at + off]) {
      at = gap.at + off;
    }
  }
  with_held_[at] -= 1;
  held_ -= 1;
  gap.held = with_held_[gap.at] - weights_[gap.at];
  return Add(key, gap);
}

void RankSketch::Release() {
  with_held_ = weights_;
  held_ = 0;
}

void RankSketch::SetHeld(std::uint32_t at, std::uint32_t left) {
  const std::uint32_t both = with_held_[at] + with_held_[at + 1] - weights_[at] - weights_[at + 1];
  CHECK(at < edges_);
  left = std::min(left, both);  // See Settle.
  with_held_[at] = weights_[at] + left;
  with_held_[at + 1] = weights_[at + 1] + (both - left);
}

// By weights alone: where the posts stand must not decide which of them go, or their places would
// tell something about the shares of the gaps.
void RankSketch::Merge() {
  const double total = total_;
  double cheapest = std::numeric_limits<double>::infinity();
  std::uint32_t best = 1;
  double below = weights_[0];
  for (std::uint32_t i = 1; i + 1 < edges_; ++i) {  // Gaps i and i + 1; neither is an outer one.
    const double both = static_cast<double>(weights_[i]) + weights_[i + 1];
    const double middle = (below + 0.5 * both) / total;
    const double cost = both / (middle * (1.0 - middle));
    if (cost < cheapest) {
      cheapest = cost;
      best = i;
    }
    below += weights_[i];
  }
  weights_[best] += weights_[best + 1];
  with_held_[best] += with_held_[best + 1];
  for (std::uint32_t i = best; i + 1 < edges_; ++i) {
    values_[i] = values_[i + 1];
    ties_[i] = ties_[i + 1];
    weights_[i + 1] = weights_[i + 2];
    with_held_[i + 1] = with_held_[i + 2];
  }
  weights_[edges_] = 0;
  with_held_[edges_] = 0;
  --edges_;
  values_[edges_] = std::numeric_limits<float>::infinity();
  ties_[edges_] = 0;
}

void RankSketch::Halve() {
  total_ = 0;
  for (std::uint32_t i = 0; i <= edges_; ++i) {
    const std::uint32_t held = with_held_[i] - weights_[i];
    weights_[i] = std::max(1u, weights_[i] / 2);
    with_held_[i] = weights_[i] + held;
    total_ += weights_[i];
  }
}

void RankSketch::Write(StateWriter& writer) const {
  writer.Put(static_cast<std::uint8_t>(edges_));
  writer.PutSpan(std::span(values_).first(edges_));
  writer.PutSpan(std::span(ties_).first(edges_));
  // Seven bits a byte, the lowest first; the eighth says that more follow.
  for (std::uint32_t at = 0; at <= edges_; ++at) {
    std::uint32_t left = weights_[at];
    for (; left > 0x7f; left >>= 7) writer.Put(static_cast<std::uint8_t>(left | 0x80u));
    writer.Put(static_cast<std::uint8_t>(left));
  }
}

void RankSketch::Read(StateReader& reader) {
  Clear();
  weights_[0] = 0;
  edges_ = reader.GetUpTo<std::uint8_t>(kEdges);
  reader.GetFiniteSpan(std::span(values_).first(edges_));
  reader.GetSpan(std::span(ties_).first(edges_));
  for (std::uint32_t at = 0; at <= edges_; ++at) {
    std::uint8_t byte = 0x80;
    for (unsigned shift = 0; shift < 32 && (byte & 0x80u) != 0; shift += 7) {
      byte = reader.Get<std::uint8_t>();
      weights_[at] |= static_cast<std::uint32_t>(byte & 0x7fu) << shift;
    }
    if ((byte & 0x80u) != 0) reader.Refuse("a weight has no end");
  }
  std::uint64_t total = 0;
  bool is_good = weights_[0] == 1 && weights_[edges_] == 1;
  for (std::uint32_t i = 0; i <= edges_; ++i) {
    is_good = is_good && weights_[i] > 0;
    total += weights_[i];
  }
  for (std::uint32_t i = 0; i + 1 < edges_; ++i) {
    is_good = is_good && (values_[i] < values_[i + 1] ||
                          (values_[i] == values_[i + 1] && ties_[i] <= ties_[i + 1]));
  }
  if (reader.ok() && !(is_good && total <= kTotalMax)) reader.Refuse("no values leave such ranks");
  if (reader.ok()) {
    total_ = static_cast<std::uint32_t>(total);
    with_held_ = weights_;
  } else {
    Clear();
  }
}

}  // namespace tinylcm::drift
