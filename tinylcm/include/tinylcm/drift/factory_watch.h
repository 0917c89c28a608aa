// FactoryWatch: the long memory: does the field still differ from the factory by as much as on the
// first day, and no more?
//
// A reference that learns from the field can learn a slow change away. This one cannot: the
// bundle's held-out values never change. Each value becomes a normal score among those of its
// predicted class. That the field is not the factory is no drift: by how much it differs is
// measured once, while commissioning, class by class, and can be told as news of its own
// (field_differs). From there on only what is added counts, and a two-sided CUSUM with a small
// allowance is patient enough to find a tenth of a standard deviation a month.
//
// The first day's offset is known only as well as commissioning was long: an error of
// 1 / sqrt(n). The limit is solved for just that: averaged over all errors that so many samples may
// leave, false alarms come once in `false_alarm_every` samples. Few samples cost allowance
// (4 / sqrt(n) where that is more than 0.25) and patience, never false alarms. Where classes come
// in spells, a rare class's offset is less well known while it lasts, and its allowance is larger.
//
// E. S. Page (1954); D. Siegmund, "Sequential Analysis" (1985), 10.4, for the run length of a CUSUM
// whose mean is off.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "tinylcm/drift/held_out.h"
#include "tinylcm/drift/sample.h"
#include "tinylcm/drift/state_block.h"
#include "tinylcm/drift/whitening.h"

namespace tinylcm::drift {

// The limit of a two-sided CUSUM of allowance k on standard normal values whose mean is unknown,
// normal with standard deviation `error`: the alarm rate, averaged over it, is 1 / run_length.
// Within 2 % of the run length asked for. REQUIRES: k > 0, error >= 0, run_length > 2.
double LimitWithUnknownMean(double k, double error, double run_length);

// Of one signal. Not thread-safe; allocates only when made.
class FactoryWatch {
 public:
  struct Level {
    double statistic = 0.0;  // The higher of the two sums.
    double limit = 0.0;      // 0 until settled.
    bool rose = false;       // Which of the two.
    // Mean of the values since it was last zero, in standard deviations against the first days.
    double shift = 0.0;
    std::uint32_t wound_for = 0;  // Samples since then, those without a value too.
  };

  FactoryWatch() = default;
  // `held_out`: by class, ascending.
  FactoryWatch(std::uint32_t classes, const std::vector<std::vector<float>>& held_out);

  // A normal score among the class's held-out values, straight on beyond them; NaN for a class that
  // has none.
  float Score(std::uint16_t predicted, float value) const;

  // Commissioning is over: `whitening` has settled on scores. `error` and the allowances follow.
  void Settle(double run_length, bool in_spells);
  Whitening& whitening() { return whitening_; }
  const Whitening& whitening() const { return whitening_; }

  // Takes in a value. REQUIRES: settled.
  void Observe(std::uint16_t predicted, float value, float phase);
  // The sample has no such value.
  void Skip();
  // The next value does not follow the last.
  void Interrupt() { whitening_.Skip(); }

  Level level() const;
  bool alarms() const { return limit_ > 0.0 && (up_.sum > limit_ || down_.sum > limit_); }

  // By how many standard deviations of the factory the field differed when it was commissioned,
  // over all classes; 0 before.
  double offset() const;
  // True where that is more than commissioning's chance and more than half a standard deviation.
  bool field_differs() const;

  // The sums begin anew; offsets stay.
  void Restart();
  void Reset();
  void Write(StateWriter& writer) const;
  // `run_length`: of now; the one Settle was given may have been another.
  void Read(StateReader& reader, double run_length);

 private:
  // Of a class: scores at its held-out values.
  struct Scale {
    std::vector<float> values;
    std::vector<float> scores;
    float slope = 0.0f;  // Beyond the ends: 1 / standard deviation.
  };

  // One of the two CUSUMs, and what has gone into it since it was last zero.
  struct Side {
    double sum = 0.0;
    double allowed = 0.0;
    std::uint32_t values = 0;
    std::uint32_t samples = 0;

    void Add(double value, double allowance);
    void Skip() { samples += sum > 0.0 ? 1u : 0u; }
    void Write(StateWriter& writer) const;
    void Read(StateReader& reader);
  };

  void SolveLimit(double run_length);

  std::vector<Scale> scales_;
  Whitening whitening_;
  std::vector<float> allowances_;  // By class.
  double error_ = 0.0;             // Of the offset; 0 until settled.
  double limit_ = 0.0;
  Side up_;
  Side down_;
};

}  // namespace tinylcm::drift
