// Spells: when classes come in spells, what one spell does to the values of a predicted class is no
// drift.
//
// A belt brings threes for a while, then eights. Now and then an eight is taken for a three, and
// such a "three" lies far from the threes known: while eights come, all threes do. Ranks within the
// predicted class are then uniform over the years, but not from one sample to the next, and sums of
// them spread two or three times as far as they should. Two things are taken off a score:
//
//   strangers: a class that was hardly predicted of late is mostly a mistake. What the scores of
//              strangers are on average is learned, from 0.5 on, and taken off them.
//   levels:    each class keeps a level: what its scores have been lately, believed only as far as
//              spells have been seen to differ, forgotten within some hundred samples, and never
//              more than two tau, for what lies farther off is no spell's doing.
//
//   score = level of the spell + noise, level: mean 0, variance tau^2, memory 0.99 a sample
//   news = (score - expected level) / sqrt(1 + its variance)                  (Kalman 1960)
//
// tau^2 is the mean product of any two scores of one class and spell, near ones counting more,
// learned as the device runs. A prior of 0.1, worth 1,500 products, stands in until then: where
// spells do nothing, next to nothing of it is left after some thousand samples. A class that has
// come in few spells has more of it, for its ranks are as one-sided as those.
//
// A shift much larger than tau is found nearly as fast as ever; one as small as spells differ by is
// hard to tell from one.

#pragma once

#include <array>
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
  // What came of late counts towards tau^2 and the strangers' mean no more.
  void Discard();
  // The next score does not follow the last: whose spell it is nobody knows.
  void Interrupt();
  void Reset();

  double variance() const;        // tau^2.
  double strangers_mean() const;  // Of their scores.

  void Write(StateWriter& writer) const;
  void Read(StateReader& reader);

 private:
  static constexpr std::uint32_t kRecent = 32;

  struct Level {
    float mean = 0.0f;
    float variance = -1.0f;  // < 0: the class has not come yet.
    float score = 0.0f;      // Its last.
    std::uint32_t at = 0;
    std::uint32_t spells = 0;  // In which it came.
    // Of its scores before the last, in this spell: weighted sum, weights and their squares.
    float sum = 0.0f;
    float weight = 0.0f;
    float squares = 0.0f;
  };
  struct Sums {
    float products = 0.0f;  // Of two scores, weighted,
    float weights = 0.0f;   // how much they weigh,
    float squares = 0.0f;   // and how much that varies.
    float strangers = 0.0f;
    float of_strangers = 0.0f;  // The sum of their scores.
    float samples = 0.0f;

    Sums& operator+=(const Sums& other);
    Sums& operator*=(float factor);
  };

  bool IsStranger(std::uint16_t predicted);

  std::vector<Level> levels_;
  std::array<std::uint16_t, kRecent> recent_{};  // Predicted classes, a ring.
  std::uint32_t recent_count_ = 0;
  std::uint32_t recent_next_ = 0;
  Sums settled_;
  Sums waiting_;
  Sums filling_;
  Sums last_;  // Of the last sample.
};

}  // namespace tinylcm::drift
