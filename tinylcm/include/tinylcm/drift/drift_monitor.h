// DriftMonitor: the drift engine of one pipeline: label-free, every sample counts, and false alarms
// come as seldom as the user asked.
//
//   distance to the anchors -> rank among those of the same predicted class -> normal score ->
//   one-sided CUSUM with the limit solved for `false_alarm_every`
//
// The first `commission` samples only teach it what is usual here (kLearning); a reference made of
// training data would alarm ten times too often. After an alarm the reference is frozen, nothing
// that came since the change enters it, and the explanation grows sharper for `explain` samples.
// Then the pipeline decides: Rebaseline() learns anew what is usual, Resume() goes on as before.
//
// Seen from outside:  learning -> watching -> (kDrift) open -> Rebaseline: learning | Resume:
// watching

#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tinylcm/drift/channel_shift.h"
#include "tinylcm/drift/conformal_rank.h"
#include "tinylcm/drift/detectors/cusum.h"
#include "tinylcm/drift/detectors/detector.h"
#include "tinylcm/drift/explanation.h"
#include "tinylcm/drift/sample.h"

namespace tinylcm::drift {

// Not thread-safe. No allocation in Observe.
class DriftMonitor {
 public:
  struct Options {
    std::uint32_t classes = 2;
    std::uint32_t channels = 0;      // Values a row; 0: channels are not watched.
    double false_alarm_every = 1e6;  // Samples, on average.
    std::uint32_t commission = 300;  // Samples that teach what is usual.
    std::uint32_t explain = 100;     // Samples after an alarm that sharpen the explanation.
    double k = 0.5;                  // The CUSUM's allowance.
    std::uint32_t reservoir = 256;   // Values a class in the live reference.
    std::uint32_t hold_back = 64;    // Samples that wait before they join it.
    std::uint64_t seed = 1;
    std::vector<std::vector<float>> factory_distances = {};  // Held-out, a class; may be empty.
    std::vector<std::string> labels = {};  // For the text; class numbers where there are none.
    // For the text: "brightness fell 5.1 sigma"; by number ("channels 16 to 31") where there are
    // none.
    std::vector<std::string> channel_names = {};
    double channel_shift_min = 0.5;        // In sigma; a smaller shift is not named.
    std::string samples_noun = "samples";  // For the text: "frames", "rows".
  };

  enum class Phase { kLearning, kWatching, kOpen };

  static base::Result<DriftMonitor> Create(const Options& options);

  // Takes in one sample. kLearning while commissioning, kDrift once at the alarm, kWarning while
  // that drift is open, otherwise kSteady.
  //
  // REQUIRES: index grows, predicted < classes, as many channels as the options say, and all its
  // numbers are finite.
  DriftSignal Observe(const Sample& sample);

  Phase phase() const { return state_.phase; }
  double limit() const { return cusum_.limit(); }
  double statistic() const { return cusum_.statistic(); }
  // The normal score of the last sample; 0 while learning.
  double score() const { return state_.score; }
  std::uint64_t learned() const { return state_.learned; }  // Commissioning samples so far.

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

  // Everything learned so far, as a JSON value for a snapshot. Restore is strict: another shape, a
  // wrong size or a number out of range is kInvalidArgument and leaves the monitor untouched.
  base::Json SaveState() const;
  base::Status RestoreState(const base::Json& state);

 private:
  struct State {
    Phase phase = Phase::kLearning;
    std::uint64_t learned = 0;
    double score = 0.0;
    std::uint64_t run_first = 0;  // Index of the first sample since the CUSUM was last at zero.
    std::uint64_t run_count = 0;
    double run_scores = 0.0;  // Sum of the scores since then.
    std::vector<double> class_evidence = {};
    // The alarm, while open.
    std::uint64_t alarm_index = 0;
    std::uint64_t since_alarm = 0;
  };
  // The last scores, to place the change point within an interval.
  struct Recent {
    std::uint64_t index = 0;
    double score = 0.0;
  };

  DriftMonitor(const Options& options, ConformalRank rank, Cusum cusum, ChannelShift shift);
  void BeginRun();

  Options options_;
  ConformalRank rank_;
  Cusum cusum_;
  ChannelShift shift_;
  State state_;
  std::vector<Recent> recent_;  // A ring; none is added once the explanation is complete.
  std::size_t recent_next_ = 0;
  std::size_t recent_count_ = 0;
};

}  // namespace tinylcm::drift
