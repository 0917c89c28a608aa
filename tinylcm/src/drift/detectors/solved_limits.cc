#include "tinylcm/src/drift/detectors/solved_limits.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <iterator>
#include <limits>
#include <span>
#include <vector>

#include "base/text.h"
#include "tinylcm/drift/detectors/limit_cache.h"
#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

using base::Error;
using base::ErrorCode;

namespace {

struct Known {
  double run_length;
  double limit;  // On the scale it is interpolated on.
};

#include "tinylcm/src/drift/detectors/solved_limits_table.inc"

// Between the logarithms of the run lengths, by the parabola through the three nearest.
// kUnsupported outside of the table.
base::Result<double> Between(std::span<const Known> table, double run_length) {
  if (table.size() < 3 || !(run_length >= table.front().run_length) ||
      !(run_length <= table.back().run_length)) {
    return Error{ErrorCode::kUnsupported, "beyond the table"};
  }
  std::size_t at = 1;
  while (at + 2 < table.size() && table[at + 1].run_length < run_length) ++at;
  if (at + 2 < table.size() &&
      run_length > std::sqrt(table[at].run_length * table[at + 1].run_length)) {
    ++at;
  }
  const double x = std::log(run_length);
  double sum = 0.0;
  for (std::size_t i = at - 1; i <= at + 1; ++i) {
    double weight = 1.0;
    for (std::size_t j = at - 1; j <= at + 1; ++j) {
      if (j == i) continue;
      weight *= (x - std::log(table[j].run_length)) /
                (std::log(table[i].run_length) - std::log(table[j].run_length));
    }
    sum += weight * table[i].limit;
  }
  return sum;
}

// What a trial costs on one slow core, in nanoseconds: a rough figure that errs upwards.
struct Cost {
  double value = 15.0;  // Drawn and observed.
  double run = 0.0;     // Besides its values.
};

// What a limit is worth: a start, or `config check`, takes no longer than some seconds.
constexpr double kBudget = 5e9;  // Nanoseconds.
constexpr double kRunsMin = 200.0;
constexpr double kRunsMax = 2000.0;

// How often the run length is gone through for each run and besides: a sweep with its pilot runs
// (SolveLimit), or the probes of a search (SearchLimit).
struct Passes {
  double a_run;
  double besides;
};
constexpr Passes kSweep{.a_run = 2.5, .besides = 64.0};
constexpr Passes kSearch{.a_run = 20.0, .besides = 0.0};

// The longest run length that the budget allows with the fewest runs; whole, two digits.
double LongestFor(const Cost& cost, const Passes& passes) {
  const double length = (kBudget - (kRunsMin + passes.besides) * cost.run) /
                        ((kRunsMin * passes.a_run + passes.besides) * cost.value);
  if (!(length >= 10.0)) return 0.0;
  const double unit = std::pow(10.0, std::floor(std::log10(length)) - 1.0);
  return std::floor(length / unit) * unit;
}

// As many runs as the budget allows, enough for +-5 % where it can be. REQUIRES: run_length is at
// most LongestFor.
MonteCarlo WorkFor(double run_length, const Cost& cost, const Passes& passes) {
  const double affordable = (kBudget - passes.besides * (run_length * cost.value + cost.run)) /
                            (passes.a_run * run_length * cost.value + cost.run);
  const double runs = std::clamp(std::min(2e7 / run_length, affordable), kRunsMin, kRunsMax);
  // Twice what is expected, so that an unlucky search ends too.
  return {.seed = 20261121,
          .runs = static_cast<std::uint64_t>(runs),
          .values = static_cast<std::uint64_t>(2.0 * run_length *
                                               (passes.a_run * runs + passes.besides))};
}

base::Status CheckRunLength(double run_length, double least) {
  if (run_length >= least && run_length <= 1e7) return {};
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat("run length must be from ", least, " to 1e7 with these options")};
}

base::Result<double> LimitOf(const base::Result<SolvedLimit>& solved) {
  if (!solved.ok()) return solved.error();
  return solved->limit;
}

// Goes up with every change of what a trial finds: of a detector, its quiet stream or the search.
constexpr std::uint32_t kSolver = 1;

double Bit(base::Random& random, double rate) { return random.Uniform() < rate ? 1.0 : 0.0; }

constexpr double kNever = 1e300;

}  // namespace

base::Result<double> LimitsByTrial::PageHinkleyThreshold(PageHinkley::Options options,
                                                         double run_length) const {
  RETURN_IF_ERROR(CheckRunLength(run_length, static_cast<double>(options.min_instances) + 10.0));
  options.threshold = kNever;
  ASSIGN_OR_RETURN(const PageHinkley fresh, PageHinkley::Create(options));
  return LimitOf(SolveLimit(work, run_length, [&] {
    return [chart = fresh](base::Random& random) mutable {
      chart.Observe(random.Normal());
      return chart.statistic();
    };
  }));
}

base::Result<double> LimitsByTrial::AdwinDelta(Adwin::Options options, double run_length) const {
  RETURN_IF_ERROR(CheckRunLength(run_length, std::max(64.0, 2.0 * options.clock)));
  options.delta = std::numeric_limits<double>::min();
  ASSIGN_OR_RETURN(const Adwin fresh, Adwin::Create(options));
  const auto solved = SolveLimit(work, run_length, [&] {
    return [chart = fresh](base::Random& random) mutable {
      chart.Observe(random.Normal());
      return chart.is_tested() ? chart.statistic() : -kNever;
    };
  });
  if (!solved.ok()) return solved.error();
  return std::exp(-solved->limit);
}

base::Result<double> LimitsByTrial::KswinAlpha(Kswin::Options options, double run_length) const {
  RETURN_IF_ERROR(CheckRunLength(run_length, options.window_size + 30.0));
  options.alpha = 0.0;
  options.is_smooth = true;
  ASSIGN_OR_RETURN(const Kswin fresh, Kswin::Create(options));
  const auto solved = SolveLimit(work, run_length, [&] {
    return [chart = fresh](base::Random& random) mutable {
      const bool is_ready = chart.Observe(random.Uniform()) != DriftSignal::kLearning;
      return is_ready ? -std::log(std::max(chart.statistic(), 1e-300)) : -kNever;
    };
  });
  if (!solved.ok()) return solved.error();
  return std::exp(-solved->limit);
}

base::Result<double> LimitsByTrial::HddmAConfidence(HddmA::Options options, double error_rate,
                                                    double run_length) const {
  RETURN_IF_ERROR(CheckRunLength(run_length, 30.0));
  return LimitOf(SearchLimit(
      {.run_length = run_length, .low = 1e-14, .high = 1.99, .falling = true, .work = work},
      [&](double confidence, const MonteCarlo& probe) {
        HddmA::Options tried = options;
        tried.drift_confidence = tried.warning_confidence = confidence;
        const HddmA fresh = HddmA::Create(tried).value();
        return EstimateRunLength(probe, [&] {
          return [chart = fresh, error_rate](base::Random& random) mutable {
            return chart.Observe(Bit(random, error_rate)) == DriftSignal::kDrift;
          };
        });
      }));
}

base::Result<double> LimitsByTrial::HddmWConfidence(HddmW::Options options, double error_rate,
                                                    double run_length) const {
  RETURN_IF_ERROR(CheckRunLength(run_length, 30.0));
  return LimitOf(SearchLimit(
      {.run_length = run_length, .low = 1e-14, .high = 0.999, .falling = true, .work = work},
      [&](double confidence, const MonteCarlo& probe) {
        HddmW::Options tried = options;
        tried.drift_confidence = tried.warning_confidence = confidence;
        const HddmW fresh = HddmW::Create(tried).value();
        return EstimateRunLength(probe, [&] {
          return [chart = fresh, error_rate](base::Random& random) mutable {
            return chart.Observe(Bit(random, error_rate)) == DriftSignal::kDrift;
          };
        });
      }));
}

base::Result<double> LimitsByTrial::DdmThreshold(Ddm::Options options, double error_rate,
                                                 double run_length) const {
  RETURN_IF_ERROR(CheckRunLength(run_length, static_cast<double>(options.warm_start) + 20.0));
  options.drift_threshold = kNever;
  options.warning_threshold = kNever;
  ASSIGN_OR_RETURN(const Ddm fresh, Ddm::Create(options));
  return LimitOf(SolveLimit(work, run_length, [&] {
    return [chart = fresh, error_rate](base::Random& random) mutable {
      chart.Observe(Bit(random, error_rate));
      return chart.statistic();
    };
  }));
}

base::Result<double> LimitsByTrial::EddmBeta(Eddm::Options options, double error_rate,
                                             double run_length) const {
  RETURN_IF_ERROR(
      CheckRunLength(run_length, 1.2 * (static_cast<double>(options.warm_start) + 2) / error_rate));
  options.beta = options.alpha = std::numeric_limits<double>::min();
  ASSIGN_OR_RETURN(const Eddm fresh, Eddm::Create(options));
  const auto solved = SolveLimit(work, run_length, [&] {
    return [chart = fresh, error_rate](base::Random& random) mutable {
      chart.Observe(Bit(random, error_rate));
      return chart.statistic();
    };
  });
  if (!solved.ok()) return solved.error();
  return 1.0 - solved->limit;
}

base::Result<double> LimitsByTrial::JsThreshold(JsDistribution::Options options,
                                                double run_length) const {
  RETURN_IF_ERROR(CheckRunLength(run_length, 30.0 + options.reference_size + options.window_size));
  options.threshold = kNever;
  ASSIGN_OR_RETURN(const JsDistribution fresh, JsDistribution::Create(options));
  return LimitOf(SolveLimit(work, run_length, [&] {
    return [chart = fresh, classes = options.classes](base::Random& random) mutable {
      chart.Observe(static_cast<double>(random.Below(classes)));
      return chart.statistic();
    };
  }));
}

base::Result<double> LimitsByTrial::QuantTreeThreshold(QuantTreeEwma::Options options,
                                                       double run_length) const {
  RETURN_IF_ERROR(CheckRunLength(run_length, 30.0 + options.reference_size));
  // Which bin a row falls into depends on ranks alone: one dimension stands for all.
  options.dimensions = 1;
  options.threshold = kNever;
  ASSIGN_OR_RETURN(const QuantTreeEwma fresh, QuantTreeEwma::Create(options));
  return LimitOf(SolveLimit(work, run_length, [&] {
    return [chart = fresh](base::Random& random) mutable {
      chart.Observe(random.Uniform());
      return chart.statistic();
    };
  }));
}

base::Result<double> LimitsByTrial::MmdThreshold(MmdRff::Options options, double run_length) const {
  RETURN_IF_ERROR(CheckRunLength(run_length, 30.0 + options.reference_size));
  options.threshold = kNever;
  ASSIGN_OR_RETURN(const MmdRff fresh, MmdRff::Create(options));
  return LimitOf(SolveLimit(work, run_length, [&] {
    return [chart = fresh,
            row = std::vector<double>(options.dimensions)](base::Random& random) mutable {
      for (double& value : row) value = random.Normal();
      chart.ObserveRow(row);
      return chart.statistic();
    };
  }));
}

std::uint64_t LimitKey(std::string_view detector, double run_length, OptionsDigest options,
                       const MonteCarlo& work) {
  return options.AddText(detector)
      .Add(run_length)
      .Add(work.seed)
      .Add(work.runs)
      .Add(work.values)
      .Add(kSolver)
      .value();
}

namespace {

// The table of limits where the options are the usual ones, or none.
using Table = std::span<const Known>;

// How the table's numbers are meant.
double AsIs(double limit) { return limit; }
double FromLog(double limit) { return std::exp(-limit); }
double FromOne(double limit) { return 1.0 - limit; }

// The limit of the table, or else what `solve` finds by trial, once for all detectors with these
// options; the limit is none of them. kUnsupported, naming the longest run length there is, where
// neither can be had.
template <typename Solve>
base::Result<double> Find(std::string_view detector, double run_length, Table table,
                          double (*meaning)(double), const OptionsDigest& options, const Cost& cost,
                          const Passes& passes, const Solve& solve) {
  if (const auto known = Between(table, run_length); known.ok()) return meaning(*known);
  const double longest = LongestFor(cost, passes);
  const double known_to = table.empty() ? 0.0 : table.back().run_length;
  const auto too_long = [&](double most) {
    return Error{ErrorCode::kUnsupported,
                 base::StrCat("no limit is known for a run length of ",
                              static_cast<std::int64_t>(run_length), " with these options",
                              most >= 10.0 ? base::StrCat(": ask for one of at most ",
                                                          static_cast<std::int64_t>(most))
                                           : std::string())};
  };
  if (run_length > longest) return too_long(std::max(longest, known_to));
  const LimitsByTrial trial{WorkFor(run_length, cost, passes)};
  base::Result<double> found = LimitCache::Shared().GetOr(
      LimitKey(detector, run_length, options, trial.work), [&] { return solve(trial); });
  if (!found.ok() && found.error().code == ErrorCode::kUnsupported) {
    return too_long(std::max(run_length / 10.0, known_to));
  }
  return found;
}

Table Only(bool is_usual, Table table) { return is_usual ? table : Table(); }

// Whether the options are the usual ones but for the limit.
bool IsUsual(PageHinkley::Options options) {
  const PageHinkley::Options usual;
  return options.min_instances == usual.min_instances && options.delta == usual.delta &&
         options.alpha == usual.alpha;
}
bool IsUsual(const Adwin::Options& options) {
  const Adwin::Options usual;
  return options.clock == usual.clock && options.max_buckets == usual.max_buckets &&
         options.min_window_length == usual.min_window_length &&
         options.grace_period == usual.grace_period;
}

}  // namespace

base::Result<double> PageHinkleyThreshold(const PageHinkley::Options& options, double run_length) {
  return Find(
      "page_hinkley", run_length,
      Only(IsUsual(options),
           options.mode == PageHinkley::Mode::kBoth ? Table(kPageHinkleyBoth) : kPageHinkleyUp),
      AsIs,
      OptionsDigest()
          .Add(options.min_instances)
          .Add(options.delta)
          .Add(options.alpha)
          .Add(options.mode),
      {}, kSweep,
      [&](const LimitsByTrial& trial) { return trial.PageHinkleyThreshold(options, run_length); });
}

base::Result<double> AdwinDelta(const Adwin::Options& options, double run_length) {
  // A test looks at every seam between boxes, of which a long window has max_buckets a doubling.
  const Cost cost{.value = 20.0 + 250.0 * options.max_buckets / options.clock};
  return Find("adwin", run_length, Only(IsUsual(options), kAdwin), FromLog,
              OptionsDigest()
                  .Add(options.clock)
                  .Add(options.max_buckets)
                  .Add(options.min_window_length)
                  .Add(options.grace_period),
              cost, kSweep,
              [&](const LimitsByTrial& trial) { return trial.AdwinDelta(options, run_length); });
}

base::Result<double> KswinAlpha(const Kswin::Options& options, double run_length) {
  const Kswin::Options usual;
  const bool is_usual =
      options.window_size == usual.window_size && options.stat_size == usual.stat_size;
  return Find("kswin", run_length, Only(is_usual, kKswin), FromLog,
              OptionsDigest().Add(options.window_size).Add(options.stat_size),
              {.value = 20.0 + 3.0 * options.window_size}, kSweep,
              [&](const LimitsByTrial& trial) { return trial.KswinAlpha(options, run_length); });
}

base::Result<double> HddmAConfidence(const HddmA::Options& options, double error_rate,
                                     double run_length) {
  const bool is_usual =
      error_rate == kErrorRate && options.restart == static_cast<std::uint64_t>(run_length);
  return Find("hddm_a", run_length,
              Only(is_usual, options.two_sided_test ? Table(kHddmATwoSided) : kHddmA), FromLog,
              OptionsDigest().Add(options.two_sided_test).Add(options.restart).Add(error_rate), {},
              kSearch, [&](const LimitsByTrial& trial) {
                return trial.HddmAConfidence(options, error_rate, run_length);
              });
}

base::Result<double> HddmWConfidence(const HddmW::Options& options, double error_rate,
                                     double run_length) {
  const bool is_usual =
      error_rate == kErrorRate && options.lambda_val == HddmW::Options().lambda_val;
  return Find("hddm_w", run_length,
              Only(is_usual, options.two_sided_test ? Table(kHddmWTwoSided) : kHddmW), FromLog,
              OptionsDigest().Add(options.lambda_val).Add(options.two_sided_test).Add(error_rate),
              {}, kSearch, [&](const LimitsByTrial& trial) {
                return trial.HddmWConfidence(options, error_rate, run_length);
              });
}

base::Result<double> DdmThreshold(const Ddm::Options& options, double error_rate,
                                  double run_length) {
  const bool is_usual = error_rate == kErrorRate &&
                        options.warm_start == Ddm::Options().warm_start &&
                        options.restart == static_cast<std::uint64_t>(run_length);
  return Find("ddm", run_length, Only(is_usual, kDdm), AsIs,
              OptionsDigest().Add(options.warm_start).Add(options.restart).Add(error_rate), {},
              kSweep, [&](const LimitsByTrial& trial) {
                return trial.DdmThreshold(options, error_rate, run_length);
              });
}

base::Result<double> EddmBeta(const Eddm::Options& options, double error_rate, double run_length) {
  const bool is_usual = error_rate == kErrorRate &&
                        options.warm_start == Eddm::Options().warm_start &&
                        options.restart == static_cast<std::uint64_t>(run_length);
  return Find(
      "eddm", run_length, Only(is_usual, kEddm), FromOne,
      OptionsDigest().Add(options.warm_start).Add(options.restart).Add(error_rate), {}, kSweep,
      [&](const LimitsByTrial& trial) { return trial.EddmBeta(options, error_rate, run_length); });
}

base::Result<double> JsThreshold(const JsDistribution::Options& options, double run_length) {
  const JsDistribution::Options usual;
  const bool is_usual = options.classes == usual.classes &&
                        options.reference_size == usual.reference_size &&
                        options.window_size == usual.window_size;
  return Find(
      "js_distribution", run_length, Only(is_usual, kJs), AsIs,
      OptionsDigest().Add(options.classes).Add(options.reference_size).Add(options.window_size),
      {.value = 20.0 + 15.0 * options.classes}, kSweep,
      [&](const LimitsByTrial& trial) { return trial.JsThreshold(options, run_length); });
}

base::Result<double> QuantTreeThreshold(const QuantTreeEwma::Options& options, double run_length) {
  const QuantTreeEwma::Options usual;
  const bool is_usual = options.bins == usual.bins && options.lambda == usual.lambda &&
                        options.reference_size == usual.reference_size;
  // Each bin sorts what is left of the reference.
  const double rows = options.reference_size;
  const Cost cost{.value = 15.0 + 1.5 * options.bins,
                  .run = 2.0 * options.bins * rows * std::log2(rows)};
  return Find("quanttree_ewma", run_length, Only(is_usual, kQuantTree), AsIs,
              OptionsDigest()
                  .Add(options.dimensions)
                  .Add(options.bins)
                  .Add(options.lambda)
                  .Add(options.reference_size)
                  .Add(options.seed),
              cost, kSweep, [&](const LimitsByTrial& trial) {
                return trial.QuantTreeThreshold(options, run_length);
              });
}

base::Result<double> MmdThreshold(const MmdRff::Options& options, double run_length) {
  const MmdRff::Options usual;
  const bool is_usual = options.dimensions == 1 && options.features == usual.features &&
                        options.bandwidth == usual.bandwidth && options.fast == usual.fast &&
                        options.slow == usual.slow &&
                        options.reference_size == usual.reference_size &&
                        options.seed == usual.seed;
  const Cost cost{.value =
                      10.0 * (1.0 + options.dimensions) +
                      options.features * (13.0 + 1.5 * static_cast<double>(options.dimensions))};
  return Find("mmd_rff", run_length, Only(is_usual, kMmd), AsIs,
              OptionsDigest()
                  .Add(options.dimensions)
                  .Add(options.features)
                  .Add(options.bandwidth)
                  .Add(options.fast)
                  .Add(options.slow)
                  .Add(options.reference_size)
                  .Add(options.seed),
              cost, kSweep,
              [&](const LimitsByTrial& trial) { return trial.MmdThreshold(options, run_length); });
}

}  // namespace tinylcm::drift
