// Classes: in which order they come. Drawn from a seed; the same for pictures and rows.

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/random.h"
#include "bench/adapt/streams.h"

namespace bench::adapt {

// Not thread-safe.
class Classes {
 public:
  Classes(Order order, std::uint16_t classes, std::optional<std::uint16_t> novel, double share,
          std::uint64_t seed)
      : order_(order), classes_(classes), novel_(novel), share_(share), random_(seed) {
    for (std::uint16_t i = 0; i < classes; ++i) {
      if (i != novel) known_.push_back(i);
    }
    DrawPair();
  }
  std::uint16_t Next() {
    if (order_ == Order::kSpells && next_ > 0 && next_ % 100 == 0) DrawPair();
    ++next_;
    if (novel_ && random_.Uniform() < share_) return *novel_;
    const bool of_the_pair =
        order_ == Order::kSpells || (order_ == Order::kTwoClasses && random_.Uniform() < 0.8);
    if (of_the_pair) return pair_[random_.Below(2)];
    return known_[random_.Below(known_.size())];
  }

 private:
  void DrawPair() {
    const std::uint64_t first = random_.Below(known_.size());
    const std::uint64_t second = (first + 1 + random_.Below(known_.size() - 1)) % known_.size();
    pair_ = {known_[first], known_[second]};
  }
  Order order_;
  std::uint16_t classes_;
  std::optional<std::uint16_t> novel_;
  double share_;
  base::Random random_;
  std::vector<std::uint16_t> known_;
  std::array<std::uint16_t, 2> pair_{};
  std::uint64_t next_ = 0;
};

}  // namespace bench::adapt
