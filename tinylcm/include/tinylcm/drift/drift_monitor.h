// DriftMonitor: the drift engine of one pipeline: label-free, every sample counts, and false alarms
// come as seldom as the user asked.
//
//   sample -> Reference: how unusual is each signal, for its class, here     (reference.h)
//          -> Evidence:  what all signals, classes and horizons say together (evidence.h)
//          -> alarm      once the evidence reaches the limit solved for `false_alarm_every`
//          -> History    of the last samples, from which an alarm is explained (explanation.h)
//
// The first `commission` samples only teach it what is usual here; a reference made of training
// data would alarm ten times too often. After an alarm nothing teaches, what came shortly before is
// forgotten, and the explanation grows sharper for `explain` samples. Then the pipeline decides.
//
//   phase     what Observe answers                          ends by
//   learning  kLearning                                     enough samples: watching
//   watching  kSteady; kWarning while the evidence is at    the alarm, answered kDrift once: open
//             least a tenth of what an alarm takes
//   open      kWarning; further alarms are suppressed       Rebaseline(): learning; Resume():
//                                                           watching
//
// A warning is no promise: with one alarm in A samples there is about one warning in A / 10, and
// most of them pass. It is worth keeping samples, nothing more.
//
// A change so slow that the live reference learns it along is found by the factory watch: the
// bundle's held-out values never change, and stay what they are over a re-baseline, which only
// measures anew by how much the field differs from them. It has a tenth of the false alarms.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/drift/channel_shift.h"
#include "tinylcm/drift/detectors/detector.h"
#include "tinylcm/drift/evidence.h"
#include "tinylcm/drift/explanation.h"
#include "tinylcm/drift/history.h"
#include "tinylcm/drift/reference.h"
#include "tinylcm/drift/sample.h"
#include "tinylcm/drift/signal.h"
#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

// One detector of the zoo instead of the evidence of all signals. What it is fed:
enum class Feed : std::uint8_t {
  kScore,  // The rank as a standard normal number: solved limits hold whatever the signal is.
  kRank,   // The rank itself, uniform on (0, 1): for detectors of bounded values.
  kValue,  // The value as it was measured, ranked or not: for limits a person has set. Where the
           // limit is solved, only values that have a rank: of those alone the run length is true.
};
struct AlarmRule {
  std::string detector;          // A name MakeDetector knows.
  DetectorOptions options = {};  // `classes`, where it has that one, is the monitor's if absent.
  Signal signal = Signal::kAnchorDistance;
  Feed feed = Feed::kScore;
};

// Not thread-safe; may be copied, and the copy is its own. No allocation in Observe.
class DriftMonitor {
 public:
  struct Options {
    std::uint32_t classes = 2;
    SignalMask signals = Bit(Signal::kAnchorDistance);  // Those watched; others are left alone.
    std::uint32_t channels = 0;      // Values a row; 0: channels are not watched.
    double false_alarm_every = 1e6;  // Samples, on average.
    std::uint32_t commission = 300;  // Samples that teach what is usual.
    bool has_cycle = false;          // Samples say their phase; a full turn is learned.
    std::uint32_t explain = 100;     // Samples after an alarm that sharpen the explanation.
    std::uint32_t hold_back = 64;    // Samples that wait before they are learned from.
    std::uint64_t seed = 1;
    HeldOut held_out = {};                 // The factory's; may be empty.
    std::optional<AlarmRule> alarm = {};   // Instead of the evidence, which then only explains.
    std::vector<std::string> labels = {};  // For the text; class numbers where there are none.
    // For the text: "brightness fell 5.1 sigma"; by number ("channels 16 to 31") where there are
    // none.
    std::vector<std::string> channel_names = {};
    double channel_shift_min = 0.5;        // In sigma; a smaller shift is not named.
    std::string samples_noun = "samples";  // For the text: "frames", "rows".
  };

  enum class Phase : std::uint8_t { kLearning, kWatching, kOpen };

  // kInvalidArgument where an option cannot work; what MakeDetector says of an alarm rule.
  static base::Result<DriftMonitor> Create(const Options& options);

  // Takes in one sample and answers as the table above says. A value that is not finite or beyond
  // kValueMax (or that the alarm rule's detector cannot take) counts as not there, and is counted;
  // so is a row of channels that holds one.
  //
  // REQUIRES: index grows, predicted < classes, as many channels as the options say.
  DriftSignal Observe(const Sample& sample);

  // How it stands, in figures for people.
  struct Standing {
    Phase phase = Phase::kLearning;
    std::uint64_t learned = 0;     // Commissioning samples so far, ...
    std::uint32_t commission = 0;  // ... of at least so many.
    double statistic = 0.0;
    double limit = 0.0;
    std::uint64_t not_finite = 0;  // Values that were none, since the state folder was made.
    SignalMask signals = 0;
    SignalMask unwatched = 0;    // Of these, categories that come in spells too long to be judged.
    bool is_rule_blind = false;  // The alarm rule's signal is among those: it will never alarm.
    SignalMask differs = 0;      // Of these, those of which the field was not as the factory's,
                                 // beyond chance and by half a standard deviation at least.
  };
  Standing standing() const;

  Phase phase() const { return state_.phase; }
  std::uint64_t learned() const { return reference_.learned(); }  // Commissioning samples so far.
  // What is compared with limit().
  double statistic() const;
  double limit() const;
  std::uint64_t not_finite() const { return state_.not_finite; }
  // Ranks of the last sample, by At(signal); NaN where there was none.
  const std::array<float, kSignals>& ranks() const { return ranks_; }

  const Reference& reference() const { return reference_; }
  const Evidence& evidence() const { return evidence_; }
  const History& history() const { return history_; }

  // What is known of the open drift; nullopt unless phase() is kOpen. May be asked again: it rests
  // on all samples since the change, up to `explain` after the alarm. Allocates.
  std::optional<DriftExplanation> explanation() const;
  std::uint64_t samples_since_alarm() const { return state_.since_alarm; }
  // True once the explanation rests on all it will get.
  bool explanation_is_complete() const {
    return state_.phase == Phase::kOpen && state_.since_alarm >= options_.explain;
  }

  // Forgets what was usual and learns it anew: after an adaptation, or when a person said that the
  // change is expected or no change at all.
  void Rebaseline();
  // Keeps what was usual and watches on: after a rollback, or a repair of the machine.
  void Resume();

  // Everything learned so far, as one block (state_block.h). `belongs_to`: of what else it must
  // be, the bundle for one; a block that says otherwise is refused.
  base::Bytes SaveState(std::uint64_t belongs_to = 0) const;
  // Goes on bit for bit. What StateReader::Open refuses, or what no monitor with these options
  // could have left behind, changes nothing.
  base::Status RestoreState(base::ByteView block, std::uint64_t belongs_to = 0);

 private:
  struct State {
    Phase phase = Phase::kLearning;
    std::uint64_t not_finite = 0;
    double quiet_level = 0.0;  // The evidence in the middle of quiet times.
    std::uint64_t alarm_index = 0;
    std::uint64_t since_alarm = 0;
    bool is_slow = false;  // The alarm was the factory watch's:
    SlowChange slow = {};
  };
  // Owns a detector and copies it whole.
  struct Rule {
    std::unique_ptr<Detector> detector;
    bool needs_rank = true;
    bool is_warning = false;

    Rule() = default;
    Rule(Rule&&) noexcept = default;
    Rule& operator=(Rule&&) noexcept = default;
    Rule(const Rule& other)
        : detector(other.detector ? other.detector->Clone() : nullptr),
          needs_rank(other.needs_rank),
          is_warning(other.is_warning) {}
    Rule& operator=(const Rule& other) {
      Rule copy(other);
      *this = std::move(copy);
      return *this;
    }
    ~Rule() = default;
  };

  DriftMonitor(const Options& options, Reference reference, Evidence evidence, History history,
               ChannelShift shift, Rule rule);
  Sample OnlyFinite(const Sample& sample, bool& has_channels);
  // Whether there is an alarm now.
  bool Weigh(const Sample& sample);
  void Remember(const Sample& sample);
  DriftSignal Alarm(std::uint64_t index);
  void BeginAnew();
  std::uint64_t Digest(std::uint64_t belongs_to) const;

  Options options_;
  Reference reference_;
  Evidence evidence_;
  History history_;
  ChannelShift shift_;
  Rule rule_;
  State state_;
  std::array<float, kSignals> ranks_;  // Of the last sample; not kept.
};

// "learning", "watching", "open".
const char* Name(DriftMonitor::Phase phase);

}  // namespace tinylcm::drift
