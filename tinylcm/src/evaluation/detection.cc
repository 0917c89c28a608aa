#include "tinylcm/evaluation/detection.h"

#include <algorithm>
#include <limits>

#include "base/text.h"

namespace tinylcm::evaluation {

namespace {

using base::Error;
using base::ErrorCode;
using base::StrCat;

Error Refuse(std::string message) { return {ErrorCode::kInvalidArgument, std::move(message)}; }

// Both ends included; the end may lie behind the stream's.
struct Bracket {
  std::uint64_t from = 0;
  std::uint64_t to = 0;
};

std::uint64_t Plus(std::uint64_t a, std::uint64_t b) {
  constexpr std::uint64_t kMost = std::numeric_limits<std::uint64_t>::max();
  return a > kMost - b ? kMost : a + b;
}

Bracket BracketOf(const Change& change, const Rules& rules) {
  return {.from = change.first - std::min(change.first, rules.early),
          .to = Plus(change.last, rules.horizon)};
}

base::Status CheckAlarms(std::span<const std::uint64_t> alarms) {
  for (std::size_t i = 1; i < alarms.size(); ++i) {
    if (alarms[i] < alarms[i - 1]) {
      return Refuse(StrCat("alarm ", alarms[i], " comes after alarm ", alarms[i - 1],
                           ": they must be in order"));
    }
  }
  return {};
}

base::Status CheckChanges(std::span<const Change> changes, const Rules& rules) {
  if (rules.horizon == 0) return Refuse("the horizon must be at least 1 sample");
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const Change& change = changes[i];
    if (change.last < change.first) {
      return Refuse(StrCat("change ", change.first, "-", change.last, " ends before it begins"));
    }
    if (i > 0 && change.first == changes[i - 1].first) {
      return Refuse(StrCat("change ", change.first, " is given twice"));
    }
    if (i > 0 && change.first < changes[i - 1].first) {
      return Refuse(StrCat("change ", change.first, " comes after change ", changes[i - 1].first,
                           ": they must be in order"));
    }
  }
  return {};
}

double Share(std::uint64_t part, std::uint64_t whole) {
  return static_cast<double>(part) / static_cast<double>(whole);
}

std::optional<double> HarmonicMean(const std::optional<double>& a, const std::optional<double>& b) {
  if (!a || !b) return std::nullopt;
  return *a + *b == 0.0 ? 0.0 : 2.0 * *a * *b / (*a + *b);
}

// How many samples of the stream lie in no bracket. Brackets begin in order.
std::uint64_t OutsideAll(std::span<const Change> changes, std::uint64_t length,
                         const Rules& rules) {
  std::uint64_t covered = 0;
  std::uint64_t next = 0;  // The first sample not yet looked at.
  for (const Change& change : changes) {
    const Bracket bracket = BracketOf(change, rules);
    const std::uint64_t from = std::max(next, bracket.from);
    const std::uint64_t end = std::min(length, Plus(bracket.to, 1));
    if (end <= from) continue;
    covered += end - from;
    next = end;
  }
  return length - covered;
}

// Which window an alarm falls into, asked alarm by alarm in order. Windows that are over are passed
// for good, so a stream of alarms costs hardly more than its length.
class Matcher {
 public:
  Matcher(std::span<const Change> changes, const Rules& rules) {
    for (const Change& change : changes) brackets_.push_back(BracketOf(change, rules));
  }

  std::optional<std::size_t> WindowOf(std::uint64_t alarm) {
    while (next_ < brackets_.size() && brackets_[next_].to < alarm) ++next_;
    for (std::size_t i = next_; i < brackets_.size() && brackets_[i].from <= alarm; ++i) {
      if (alarm <= brackets_[i].to) return i;
    }
    return std::nullopt;
  }

 private:
  std::vector<Bracket> brackets_;  // They begin in order.
  std::size_t next_ = 0;           // All before it are over.
};

// What is counted of alarms; they themselves need not be kept.
struct Tally {
  std::vector<Matching::Window> windows;
  std::uint64_t alarms = 0;
  std::uint64_t false_alarms = 0;
  std::uint64_t first_false = 0;
  std::uint64_t last_false = 0;
};

// `alarm(i)` for i below `count`, in order.
template <typename AlarmAt>
Tally Count(std::uint64_t count, AlarmAt alarm_at, std::span<const Change> changes,
            const Rules& rules) {
  Tally tally;
  tally.windows.resize(changes.size());
  tally.alarms = count;
  Matcher matcher(changes, rules);
  for (std::uint64_t i = 0; i < count; ++i) {
    const std::uint64_t alarm = alarm_at(i);
    if (const auto window = matcher.WindowOf(alarm)) {
      if (tally.windows[*window].alarms++ == 0) tally.windows[*window].first = alarm;
      continue;
    }
    if (tally.false_alarms++ == 0) tally.first_false = alarm;
    tally.last_false = alarm;
  }
  return tally;
}

void SetDelays(const Tally& tally, std::span<const Change> changes, const Rules& rules,
               Detection& out) {
  const auto horizon = static_cast<double>(rules.horizon);
  double sum = 0.0;
  double charged = 0.0;
  for (std::size_t i = 0; i < changes.size(); ++i) {
    const Matching::Window& window = tally.windows[i];
    if (window.alarms == 0) {
      // As long as an alarm would have counted.
      charged += static_cast<double>(changes[i].last - changes[i].first) + horizon;
      continue;
    }
    // An early one has a negative delay.
    const double delay = static_cast<double>(window.first) - static_cast<double>(changes[i].first);
    sum += delay;
    charged += delay;
  }
  if (out.caught > 0) {
    out.delay = sum / static_cast<double>(out.caught);
    out.normalised_delay = *out.delay / horizon;
  }
  if (out.changes > 0) out.charged_delay = charged / static_cast<double>(out.changes);
}

void SetFalseAlarms(const Tally& tally, Detection& out) {
  out.false_alarm_rate = Share(out.false_alarms, out.length);
  out.alarm_rate = Share(out.alarms, out.length);
  if (out.quiet > 0) {
    const Interval count = PoissonInterval(out.false_alarms);
    const auto quiet = static_cast<double>(out.quiet);
    out.run_length_low = quiet / count.high;
    if (out.false_alarms > 0) {
      out.run_length = quiet / static_cast<double>(out.false_alarms);
      out.run_length_high = quiet / count.low;
    }
  }
  if (tally.false_alarms < 2) return;
  out.mean_time_between_false_alarms = static_cast<double>(tally.last_false - tally.first_false) /
                                       static_cast<double>(tally.false_alarms - 1);
  if (!out.delay) return;
  out.mean_time_ratio = *out.delay == 0.0 ? std::numeric_limits<double>::infinity()
                                          : *out.mean_time_between_false_alarms / *out.delay *
                                                out.episode_recall.value_or(0.0);
}

Detection Describe(const Tally& tally, std::span<const Change> changes, std::uint64_t length,
                   const Rules& rules) {
  Detection out;
  out.length = length;
  out.changes = changes.size();
  out.alarms = tally.alarms;
  out.false_alarms = tally.false_alarms;
  out.hits = out.alarms - out.false_alarms;
  for (const Matching::Window& window : tally.windows) out.caught += window.alarms > 0 ? 1 : 0;
  out.quiet = OutsideAll(changes, length, rules);

  const std::uint64_t misses = out.changes - out.caught;
  if (out.alarms > 0) out.precision = Share(out.hits, out.alarms);
  if (out.hits + misses > 0) out.recall = Share(out.hits, out.hits + misses);
  if (out.changes > 0) {
    out.episode_recall = Share(out.caught, out.changes);
    out.missed = Share(misses, out.changes);
  }
  out.f1 = HarmonicMean(out.precision, out.episode_recall);
  out.f1_by_alarm = HarmonicMean(out.precision, out.recall);
  SetDelays(tally, changes, rules, out);
  SetFalseAlarms(tally, out);
  return out;
}

}  // namespace

base::Result<Matching> Match(std::span<const std::uint64_t> alarms, std::span<const Change> changes,
                             const Rules& rules) {
  RETURN_IF_ERROR(CheckAlarms(alarms));
  RETURN_IF_ERROR(CheckChanges(changes, rules));
  Matching matching;
  matching.windows.resize(changes.size());
  Matcher matcher(changes, rules);
  for (const std::uint64_t alarm : alarms) {
    const auto at = matcher.WindowOf(alarm);
    if (!at) {
      matching.false_alarms.push_back(alarm);
      continue;
    }
    Matching::Window& window = matching.windows[*at];
    if (window.alarms++ == 0) window.first = alarm;
  }
  return matching;
}

base::Result<Detection> Evaluate(std::span<const std::uint64_t> alarms,
                                 std::span<const Change> changes, std::uint64_t length,
                                 const Rules& rules) {
  if (length == 0) return Refuse("a stream of no samples: nothing can be said");
  RETURN_IF_ERROR(CheckAlarms(alarms));
  RETURN_IF_ERROR(CheckChanges(changes, rules));
  if (!alarms.empty() && alarms.back() >= length) {
    return Refuse(StrCat("alarm ", alarms.back(), " lies behind the last sample, ", length - 1));
  }
  for (const Change& change : changes) {
    if (change.last < length) continue;
    return Refuse(StrCat("change ", change.last, " lies behind the last sample, ", length - 1));
  }

  const Tally tally =
      Count(alarms.size(), [&](std::uint64_t i) { return alarms[i]; }, changes, rules);
  return Describe(tally, changes, length, rules);
}

base::Result<std::vector<Judged>> Compare(std::span<const std::uint64_t> alarms,
                                          std::span<const Change> changes, std::uint64_t length,
                                          const Rules& rules, std::uint64_t every) {
  std::vector<Judged> judged(1);
  judged[0].name = "detector";
  ASSIGN_OR_RETURN(judged[0].detection, Evaluate(alarms, changes, length, rules));
  if (every == 0) {
    every = std::max<std::uint64_t>(1, alarms.empty() ? rules.horizon : length / alarms.size());
  }
  // At n - 1, 2n - 1, ...; 0: never. Not listed, for a stream may be longer than memory.
  const auto dummy = [&](std::string name, std::uint64_t n) {
    const Tally tally = Count(
        n == 0 ? 0 : length / n, [n](std::uint64_t i) { return (i + 1) * n - 1; }, changes, rules);
    judged.push_back(
        {.name = std::move(name), .detection = Describe(tally, changes, length, rules)});
  };
  dummy("never", 0);
  dummy("always", 1);
  dummy(StrCat("every_", every), every);
  return judged;
}

std::vector<std::uint64_t> AlarmsOf(std::span<const double> stream,
                                    const std::function<bool(double)>& observe) {
  std::vector<std::uint64_t> alarms;
  for (std::size_t i = 0; i < stream.size(); ++i) {
    if (observe(stream[i])) alarms.push_back(i);
  }
  return alarms;
}

}  // namespace tinylcm::evaluation
