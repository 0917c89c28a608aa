// Reference: says of every signal of every sample how unusual it is here, as a number from 0 to 1
// that is uniform and independent of all before while nothing changes.
//
//   value -> less what was known before (whitening.h) -> rank among its predicted class
//   (rank_sketch.h)
//
// There is one reference a signal and predicted class (Mondrian: a busy class must not make a rare
// one look odd; the class mix itself has one). Its life:
//
//   gathering: the first samples are kept until the moments of the classes are settled (with a
//              cycle: once more after one full turn), then ranked in
//   teaching:  the rest of `commission` goes straight in
//   watching:  every sample gets its ranks and waits in a side room of `hold_back` samples. Who
//              waits is measured against too, which keeps ranks independent, but is part of the
//              reference only when `hold_back` more have come. After an alarm Discard() empties the
//              side room: what came since the change never teaches.
//
// Where classes come in spells, the ranks are those of what the spell leaves unsaid (spells.h).
//
// A class that commissioning hardly saw is filled up to 20 with the bundle's held-out values, if
// those agree with what the field showed of the other classes; the first values of a class that
// has neither have ranks by lot. A category (class mix, bins) is watched only as densely as its
// values are independent, for spells of one class are no news; if they come in long spells, not at
// all (`every`).
//
// Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World" (2005), 4.5 (Mondrian).

#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/random.h"
#include "base/result.h"
#include "tinylcm/drift/factory_watch.h"
#include "tinylcm/drift/held_out.h"
#include "tinylcm/drift/rank_sketch.h"
#include "tinylcm/drift/sample.h"
#include "tinylcm/drift/spells.h"
#include "tinylcm/drift/state_block.h"
#include "tinylcm/drift/whitening.h"

namespace tinylcm::drift {

// The part of the false alarms that is the factory watch's; the live evidence has the rest. Rates
// add up: 1 / (every / 0.1) + 1 / (every / 0.9) = 1 / every.
inline constexpr double kFactoryShare = 0.1;

// Not thread-safe. Allocates only in Create; cost a signal: one pass over a sketch and over those
// of its class who wait.
class Reference {
 public:
  struct Options {
    std::uint32_t classes = 2;
    SignalMask signals = Bit(Signal::kAnchorDistance);
    std::uint32_t hold_back = 64;    // Samples that wait; at most 1024.
    std::uint32_t commission = 300;  // Samples that only teach; at least.
    bool has_cycle = false;          // Samples come with a phase; learning takes a full turn more.
    std::uint32_t live_min = 20;     // A class with fewer values is filled up from the held-out.
    std::uint64_t seed = 1;
    HeldOut held_out = {};
    // Of the whole device; signals with held-out values are watched against them as well, with
    // kFactoryShare of the alarms. 0: not.
    double false_alarm_every = 0.0;
  };

  enum class Phase : std::uint8_t { kLearning, kWatching };

  static base::Result<Reference> Create(const Options& options);

  // Ranks of the sample, by At(signal), each in (0, 1); NaN where the signal is not there, is not
  // looked at this time, or is still being learned. Call once a sample, in order.
  //
  // REQUIRES: predicted < classes; values are finite.
  void Rank(const Sample& sample, std::span<float, kSignals> u);

  // The sample ranked last is taken in: teaches (learning) or waits (watching). Not called while a
  // drift is open.
  void Take();
  // Those who wait are forgotten: an alarm followed. The next Take begins a new side room.
  void Discard();
  // The next sample does not follow the last, which may have been a drifted one.
  void Interrupt();
  // Learns anew.
  void Reset();

  Phase phase() const { return stage_ == Stage::kWatching ? Phase::kWatching : Phase::kLearning; }
  std::uint64_t learned() const { return learned_; }  // Commissioning samples so far.

  // What was usual when commissioning ended, in the signal's own unit; of all classes together for
  // one that was hardly seen. Zero samples before.
  const Whitening::Moments& moments(Signal signal, std::uint16_t predicted) const;
  // The share of the last value that is taken off; 0: none.
  float phi(Signal signal) const;
  // A category is ranked every so many samples; 1: always, 0: never (it comes in spells). 1 for
  // other signals.
  std::uint32_t every(Signal signal) const;
  // True if the predicted classes come in spells rather than in any order, as far as commissioning
  // could see.
  bool in_spells() const { return in_spells_; }

  // The factory watch (factory_watch.h). False where no number has held-out values, or none of the
  // alarms is for it: then the live evidence has them all.
  bool watches_factory() const;
  struct FactoryLevel {
    FactoryWatch::Level level;  // Of the leading signal.
    Signal signal = Signal::kAnchorDistance;
    bool alarm = false;  // Stays until Discard or Reset.
  };
  // As of the last Take.
  FactoryLevel factory_level() const;
  // nullptr where the signal is not watched so.
  const FactoryWatch* factory(Signal signal) const;

  // How many values the next of this class will be measured against.
  std::uint64_t live_samples(Signal signal, std::uint16_t predicted) const;

  // What two references must have in common to read each other's state: not how often a false
  // alarm may come, only whether any is the factory's.
  void AddTo(OptionsDigest& digest) const;
  void Write(StateWriter& writer) const;
  // Refuses in the reader, and is then half changed: read into a spare copy.
  void Read(StateReader& reader);

 private:
  enum class Stage : std::uint8_t { kGathering, kTurning, kGatheringAgain, kTeaching, kWatching };
  static constexpr std::uint32_t kGatherMax = Whitening::kGatheredMax;

  // The sample ranked last; arrays by slot.
  struct Staged {
    std::uint16_t predicted = 0;
    SignalMask has = 0;    // Bits of slots: the sample had it ...
    SignalMask keyed = 0;  // ... and it was looked at.
    float phase = -1.0f;
    std::array<float, kSignals> values{};
    std::array<RankSketch::Key, kSignals> keys{};
    std::array<RankSketch::Gap, kSignals> gaps{};  // Where it lands, while watching.
  };

  explicit Reference(const Options& options);
  std::size_t SlotOf(Signal signal) const;  // signals_.size() for one that is not ours.
  std::size_t SketchAt(std::size_t slot, std::uint16_t predicted) const;
  bool IsPooled(std::size_t slot) const { return signals_[slot] == Signal::kClassMix; }
  double RankOf(std::size_t slot, double draw);
  std::uint32_t HeldBefore(std::size_t slot, std::uint32_t gap, std::int64_t order) const;
  // What is news in the sample, and (watching) its ranks.
  void StageKeys(std::span<float, kSignals> u);
  void Gather();
  void SettleMoments();
  void Settle();
  void FollowTurn();
  void Teach();
  void Wait();
  void Join(std::size_t slot, std::uint16_t predicted, std::int64_t order);
  void Learn();
  std::uint32_t IndependentEvery(std::size_t slot, double label_time) const;
  void SettleFactory();
  double FactoryRunLength() const;  // Of each factory watch.
  double LabelTime() const;
  void PrepareFill(std::size_t slot);
  Whitening::Gathered Gathered(std::size_t slot) const;
  Whitening::Gathered GatheredScores(std::size_t slot);
  RankSketch::Key Draw(float value);

  Options options_;
  std::vector<Signal> signals_;         // The slots.
  std::vector<Whitening> whitening_;    // One a slot.
  std::vector<Spells> spells_;          // One a slot; asked only where classes come in spells.
  std::vector<std::size_t> sketch_at_;  // Where a slot's sketches begin.
  std::vector<RankSketch> sketches_;
  std::vector<std::uint32_t> every_;  // One a slot.
  std::vector<std::uint32_t> since_;  // Samples since a category was last looked at.
  // By slot; made where there are held-out values, otherwise empty.
  std::vector<std::optional<FactoryWatch>> factory_;
  // Held-out values reduced to live_min a class, as the sketches are ordered; in whitened units
  // once settled. Empty where there are none, or where they do not agree with the field.
  std::vector<float> fill_;
  std::vector<bool> has_fill_;

  // The side room: a ring, the oldest at waiting_first_. Keys by slot, then place, as whole numbers
  // that order as keys do.
  std::vector<std::uint16_t> waiting_predicted_;
  std::vector<std::int64_t> waiting_keys_;
  std::uint32_t waiting_first_ = 0;
  std::uint32_t waiting_count_ = 0;

  // What commissioning gathers; values by slot, then sample.
  std::vector<float> gathered_values_;
  std::vector<float> scores_;  // Of one slot, while the factory watch settles.
  std::vector<SignalMask> scores_has_;
  std::vector<float> gathered_phases_;
  std::vector<std::uint16_t> gathered_predicted_;
  std::vector<SignalMask> gathered_has_;
  std::uint32_t gathered_ = 0;
  std::uint32_t gather_ = 0;  // How many are gathered.

  Stage stage_ = Stage::kGathering;
  std::uint64_t learned_ = 0;
  std::uint32_t watched_ = 0;  // Samples; wraps around.
  bool in_spells_ = false;
  float turned_ = 0.0f;  // How much of a turn was seen since the last full one.
  float last_phase_ = -1.0f;
  base::Random random_;
  Staged staged_;
};

}  // namespace tinylcm::drift
