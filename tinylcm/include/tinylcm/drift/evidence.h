// Evidence: from the ranks of a sample's signals to one number that says how surely something has
// changed, and an alarm that comes falsely as seldom as one asked.
//
//   rank u of every signal -> sixteen bets a signal (detectors/bets.h), over all samples and, for
//   the signals that know their class, over each predicted class's own samples
//   -> weighted sum W of what all bets own -> alarm at W >= limit
//
// Why a sum: the mean of W grows by one a sample as long as every rank is uniform given the past,
// whatever the signals have to do with one another (eight may well be eight copies of one). So the
// mean number of samples until W reaches A is at least A; no correction for the number of signals
// or classes is needed, and none is paid for: a class that is not there gathers nothing.
//
// W overshoots a limit it passes, so the mean run length at limit A is some 1.7 A. With one signal
// that factor is known (solved by Monte Carlo, tabulated, bench/drift/solve_limits.cc) and the run
// length is what was asked for; with several it is 1 to 1.4 times that.
//
// docs/decisions/0009-evidence-is-averaged.md.

#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "tinylcm/drift/detectors/bets.h"
#include "tinylcm/drift/sample.h"
#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

// True for the signals watched within each predicted class as well: those made of the feature
// vector. The mix of classes is none of a class's business, and light and focus change for all.
constexpr bool IsWatchedPerClass(Signal signal) {
  return static_cast<unsigned>(signal) <= static_cast<unsigned>(Signal::kQuantTree);
}

// Not thread-safe. No allocation after Create; some 30 ns a signal and sample.
class Evidence {
 public:
  struct Options {
    std::uint32_t classes = 2;
    SignalMask signals = Bit(Signal::kAnchorDistance);  // Those that may come; at least one.
    double false_alarm_every = 1e6;                     // Samples, on average.
  };

  struct Level {
    double statistic = 0.0;  // W.
    bool warning = false;    // W is at least a tenth of the limit.
    bool alarm = false;      // W has reached the limit. Stays so until Reset.
  };

  // Whose evidence it is. All shares are of W and add up to 1 (all are 0 while W is 0).
  struct Shares {
    std::array<double, kSignals> signals{};
    std::array<double, kBetKinds> kinds{};  // By BetKind: whether numbers rose, fell, spread, ...
    double fast = 0.0;                      // Of bets that find a change within some ten samples.
    double per_class = 0.0;                 // Of the bets on single classes.
  };

  // kInvalidArgument for no class or more than 65,536, no signal or an unknown one, or a false
  // alarm more often than every 10 or more seldom than every 1e12 samples.
  static base::Result<Evidence> Create(const Options& options);

  // Takes in the ranks of one sample, by At(signal); NaN where a signal is not there or is still
  // learning.
  //
  // REQUIRES: predicted < classes; ranks lie in [0, 1] or are NaN.
  Level Observe(std::uint16_t predicted, std::span<const float, kSignals> u);

  // Told that predicted classes come in spells (they do not, at first). The few samples that are
  // truly of another class then come in spells too: within their predicted class they look like
  // drift, and over all classes like a small shift that lasts a while. So the coins of the bets on
  // single classes go to those on all samples (they still tell which class it is), and those of the
  // bets on shifts of less than one deviation to the others. A change of this forgets what was won.
  void SetInSpells(bool in_spells);
  bool in_spells() const { return in_spells_; }

  const Level& level() const { return level_; }
  double limit() const { return limit_; }
  // log10 of the evidence in units of the false alarm's rate: W = limit gives log10 of
  // false_alarm_every. 0 while there is none.
  double log10_evidence() const;

  Shares shares() const;
  // How what the bets on single classes own is divided among the classes, whether or not it counts:
  // adds up to 1, or all zero where there is none. REQUIRES: shares has `classes` places.
  void ClassShares(std::span<double> shares) const;
  // For how many samples the leading bet has been winding up, the last one included: where those
  // before it ended, the change probably lies. 0 before the first sample.
  std::uint64_t wound_for() const;

  // Forgets all evidence, as new (but for SetInSpells).
  void Reset();

  void AddTo(OptionsDigest& digest) const;
  void Write(StateWriter& writer) const;
  // Reads what Write wrote, under whatever false_alarm_every. Into a spare copy: after a refusal
  // nothing here means anything.
  void Read(StateReader& reader);

 private:
  // One signal's place in the arrays.
  struct Watch {
    std::uint8_t signal = 0;
    bool per_class = false;
    bool category = false;
    float pooled_weight = 0.0f;  // Of W: all pooled and class weights add up to 1.
    float class_weight = 0.0f;
  };

  explicit Evidence(const Options& options);
  void Arrange();  // Weights and limit, by in_spells_.
  // visit(watch, stakes, weight, samples since they last played, whether they are one class's).
  template <typename Visit>
  void ForAllStakes(const Visit& visit) const;

  Options options_;
  double limit_ = 0.0;
  std::vector<Watch> watches_;
  std::size_t class_watches_ = 0;
  const BetTable* table_ = nullptr;
  BetWeights number_weights_;
  BetWeights category_weights_;

  // What is learned.
  bool in_spells_ = false;
  std::uint64_t samples_ = 0;
  Level level_;
  std::vector<Stakes> pooled_;              // By watch.
  std::vector<RecentShape> pooled_shape_;   // By watch.
  std::vector<float> pooled_sum_;           // Its part of W, by watch.
  std::vector<Stakes> by_class_;            // By label, then by watch that is per class.
  std::vector<RecentShape> class_shape_;    // Of a class's bins, by label; empty without.
  std::vector<float> class_sum_;            // Its part of W; as by_class_.
  double class_total_ = 0.0;                // Sum of class_sum_.
  std::vector<std::uint64_t> pooled_last_;  // samples_ when the signal was last there.
  std::vector<std::uint64_t> class_last_;   // samples_ when the class was last seen.
};

}  // namespace tinylcm::drift
