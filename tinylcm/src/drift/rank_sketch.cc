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
  edges_ = 0;
  total_ = 1;
}

RankSketch::Gap RankSketch::Find(const Key& key) const {
  // Without a branch and always over all posts, so that the compiler makes vectors of it.
  std::uint32_t less = 0;
  std::uint32_t not_more = 0;
  std::uint32_t below = 0;
  for (std::uint32_t i = 0; i < kEdges; ++i) {
    const std::uint32_t is_less = values_[i] < key.value ? ~0u : 0u;
    const std::uint32_t is_not_more = values_[i] <= key.value ? ~0u : 0u;
    less -= is_less;
    not_more -= is_not_more;
    below += weights_[i] & is_less;
  }
  std::uint32_t coins = key.coins;
  while (less < not_more && ties_[less] <= key.tie) {
    if (ties_[less] == key.tie) {
      if ((coins & 1u) == 0) break;
      coins >>= 1;
    }
    below += weights_[less++];
  }
  return {less, below, weights_[less]};
}

void RankSketch::Add(const Key& key, const Gap& found) {
  Gap gap = found;
  if (gap.weight == 1 && edges_ == kEdges) {
    // Room first: the newcomer's gap may be among those merged, and then takes it in as a wide one.
    Merge();
    gap = Find(key);
  }
  ++total_;
  if (gap.weight > 1) {
    weights_[gap.at] += 1;
  } else {
    for (std::uint32_t i = edges_; i > gap.at; --i) {
      values_[i] = values_[i - 1];
      ties_[i] = ties_[i - 1];
      weights_[i + 1] = weights_[i];
    }
    values_[gap.at] = key.value;
    ties_[gap.at] = key.tie;
    weights_[gap.at] = 1;
    weights_[gap.at + 1] = 1;
    ++edges_;
  }
  if (total_ > kTotalMax) Halve();
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
  for (std::uint32_t i = best; i + 1 < edges_; ++i) {
    values_[i] = values_[i + 1];
    ties_[i] = ties_[i + 1];
    weights_[i + 1] = weights_[i + 2];
  }
  weights_[edges_] = 0;
  --edges_;
  values_[edges_] = std::numeric_limits<float>::infinity();
  ties_[edges_] = 0;
}

void RankSketch::Halve() {
  total_ = 0;
  for (std::uint32_t i = 0; i <= edges_; ++i) {
    weights_[i] = std::max(1u, weights_[i] / 2);
    total_ += weights_[i];
  }
}

void RankSketch::Write(StateWriter& writer) const {
  writer.Put(static_cast<std::uint8_t>(edges_));
  writer.PutSpan(std::span(values_).first(edges_));
  writer.PutSpan(std::span(ties_).first(edges_));
  writer.PutSpan(std::span(weights_).first(edges_ + 1));
}

void RankSketch::Read(StateReader& reader) {
  Clear();
  edges_ = reader.GetUpTo<std::uint8_t>(kEdges);
  reader.GetFiniteSpan(std::span(values_).first(edges_));
  reader.GetSpan(std::span(ties_).first(edges_));
  reader.GetSpan(std::span(weights_).first(edges_ + 1));
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
  } else {
    Clear();
  }
}

}  // namespace tinylcm::drift
