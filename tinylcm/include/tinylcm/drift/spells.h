// Spells: when classes come in spells, what one spell does to the values of a predicted class is no
// drift.
//
// A belt brings threes for a while, then eights. Now and then an eight is taken for a three, and
// such a "three" lies far from the threes known: while eights come, all threes do. Ranks within the
// predicted class are then uniform over the years, but not from one sample to the next, and sums of
// them spread two or three times as far as they should. So each class keeps a level: what its
// scores have been lately, believed only as far as spells have been seen to differ, and forgotten
// within some hundred samples. What is news is how far a score lies from that level:
//
//   score = level of the spell + noise, level: mean 0, variance tau^2, memory 0.99 a sample
//   news = (score - expected level) / sqrt(1 + its variance)                  (Kalman 1960)
//
// tau^2 is the mean product of successive scores of one class, learned as the device runs, from
// 0.05 on (real digits, in spells of two classes, have 0.09). A shift much larger than tau is found
// as fast as ever, before the level follows; one as small as spells differ by is hard to tell from
// one.

#pragma once

#include <cstdint>
#include <vector>

#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

// Of one signal. Not thread-safe; allocates only when made.
class Spells {
 public:
  Spells() = default;
  explicit Spells(std::uint32_t classes) : levels_(classes) {}

  // What is news in the `now`-th sample's score. Call in order.
  double Remove(std::uint16_t predicted, std::uint32_t now, double score);
  // The score given last was an ordinary one.
  void Learn();
  // What came of late counts towards tau^2 no more.
  void Discard() { waiting_ = filling_ = Sums{}; }
  // The next score does not follow the last: whose spell it is nobody knows.
  void Interrupt() {
    levels_.assign(levels_.size(), Level{});
    has_product_ = false;
  }
  void Reset();

  double variance() const;  // tau^2.

  void Write(StateWriter& writer) const;
  void Read(StateReader& reader);

 private:
  struct Level {
    float mean = 0.0f;
    float variance = -1.0f;  // < 0: the class has not come yet.
    float score = 0.0f;      // Its last.
    std::uint32_t at = 0;
  };
  struct Sums {
    float products = 0.0f;
    float pairs = 0.0f;
  };

  std::vector<Level> levels_;
  Sums settled_;
  Sums waiting_;
  Sums filling_;
  float product_ = 0.0f;  // Of the last two scores of one class ...
  bool has_product_ = false;
};

}  // namespace tinylcm::drift
