// How good was a detector? Its alarms held against changes that are known.
//
// Picture a strip of paper with a bracket drawn after each true change, and a pin for each alarm.
// A pin in a bracket caught that change; a pin in none is a false alarm; a bracket without a pin is
// a miss. Everything else is counting. Two traps are closed here: a detector that pins every tenth
// sample catches everything, so the dummies (never, always, every Nth) stand beside every result;
// and a detector that gives up on hard changes looks quick if misses are left out, so the delay is
// also given with each miss charged at the horizon.
//
// Terms as in CapyMOA's EvaluateDriftDetector and river's drift.evaluate, whose figures for the
// same alarms these are: recall by alarm and by episode, MDT, NDT, mean time ratio.

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tinylcm/evaluation/interval.h"

namespace tinylcm::evaluation {

// The first changed sample; for a gradual change also the one at which it was complete.
struct Change {
  std::uint64_t first = 0;
  std::uint64_t last = 0;
};
inline Change At(std::uint64_t index) { return {.first = index, .last = index}; }

// An alarm catches a change from `early` before its first sample to `horizon` after its last, both
// ends included; where windows overlap, the earliest.
struct Rules {
  std::uint64_t horizon = 1000;
  std::uint64_t early = 0;
};

struct Matching {
  struct Window {
    std::uint64_t alarms = 0;  // That fell into it.
    std::uint64_t first = 0;   // The first of them.
  };
  std::vector<Window> windows;  // One a change, in order.
  std::vector<std::uint64_t> false_alarms;
};

// kInvalidArgument for a horizon of 0, a change that ends before it begins, and alarms or changes
// that do not grow (alarms may repeat, changes may not).
base::Result<Matching> Match(std::span<const std::uint64_t> alarms, std::span<const Change> changes,
                             const Rules& rules);

// What is undefined is not there: no precision without an alarm, no recall without a change, no
// delay where nothing was caught.
struct Detection {
  std::uint64_t length = 0;  // Of the stream, samples.
  std::uint64_t changes = 0;
  std::uint64_t alarms = 0;
  std::uint64_t hits = 0;    // Alarms in a window.
  std::uint64_t caught = 0;  // Windows with an alarm.
  std::uint64_t false_alarms = 0;

  std::optional<double> precision;       // Of the alarms, how many hit.
  std::optional<double> recall;          // Hits of hits and misses: counts every alarm of a window.
  std::optional<double> episode_recall;  // Of the changes, how many were caught.
  std::optional<double> missed;          // The others.
  std::optional<double> f1;              // Harmonic mean of precision and episode recall (river).
  std::optional<double> f1_by_alarm;     // Of precision and recall (CapyMOA).

  std::optional<double> delay;             // Samples from a change to its first alarm; of those
                                           // caught alone (MDT).
  std::optional<double> normalised_delay;  // The same, in horizons (NDT).
  std::optional<double> charged_delay;     // Of all changes, a miss charged at the horizon.

  double false_alarm_rate = 0.0;  // Per sample of the stream.
  double alarm_rate = 0.0;
  // Samples outside all windows, and their number to a false alarm. Without any false alarm there
  // is only the lower end.
  std::uint64_t quiet = 0;
  std::optional<double> run_length;
  std::optional<double> run_length_low;  // The 95 % interval (Poisson).
  std::optional<double> run_length_high;

  std::optional<double> mean_time_between_false_alarms;  // Mean gap; from two on.
  // That over the delay, times the share caught; infinite where the delay is 0.
  std::optional<double> mean_time_ratio;
};

// kInvalidArgument as Match, and for a stream of no samples or an alarm or a change behind its end.
base::Result<Detection> Evaluate(std::span<const std::uint64_t> alarms,
                                 std::span<const Change> changes, std::uint64_t length,
                                 const Rules& rules);

struct Judged {
  std::string name;  // "detector", "never", "always", "every_500" (at 499, 999, ...).
  Detection detection;
};
// The detector beside the dummies. `every` 0: the dummy alarms as often as the detector did (or
// once a horizon, if it never did).
base::Result<std::vector<Judged>> Compare(std::span<const std::uint64_t> alarms,
                                          std::span<const Change> changes, std::uint64_t length,
                                          const Rules& rules, std::uint64_t every = 0);

// At which samples `observe` answered true.
std::vector<std::uint64_t> AlarmsOf(std::span<const double> stream,
                                    const std::function<bool(double)>& observe);

base::Json ToJson(const Detection& detection);
// A table for a person, a column a row of `judged`.
std::string Table(std::span<const Judged> judged, const Rules& rules);

// The indices of alarms as a person or a program writes them: a number a line, or the JSON lines of
// `tinylcm detect --json` and of drift events ("index" or "sample_index"; warnings are passed
// over). Empty lines and lines that begin with # count for nothing. Errors name the line.
base::Result<std::vector<std::uint64_t>> ReadAlarms(std::string_view text);
// Changes with commas or line ends between: "1000, 2000-2500".
base::Result<std::vector<Change>> ReadChanges(std::string_view text);

}  // namespace tinylcm::evaluation
