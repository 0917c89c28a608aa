// How many samples does a drift go unnoticed, at a false alarm every 10,000 samples?
//
// Log-normal distances of ten classes at their own levels. After 1,000 calm samples the log of all
// of them rises by so many standard deviations. Compared, on the same numbers, with the same CUSUM
// (k .5) told level and spread beforehand: what does learning them cost? And with the best there
// could be: the CUSUM made for a rise of that very size. A miss is charged at the horizon. A run
// with an alarm before the drift is drawn again. Seeds are 2001, 2002, ...
//
//   delay [runs]

#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>

#include "base/check.h"
#include "base/random.h"
#include "base/text.h"
#include "bench/figure.h"
#include "tinylcm/drift/detectors/cusum.h"
#include "tinylcm/drift/drift_monitor.h"

namespace {

using tinylcm::drift::Cusum;
using tinylcm::drift::DriftMonitor;
using tinylcm::drift::DriftSignal;
using tinylcm::drift::OneSignal;
using tinylcm::drift::Sample;
using tinylcm::drift::Signal;

constexpr double kEvery = 1e4;
constexpr std::uint64_t kCalm = 1000;
constexpr std::uint64_t kHorizon = 5000;

struct Delays {
  double monitor = 0.0;
  double told = 0.0;
  double best = 0.0;
  bool missed = false;
};

// Nothing where the calm part had an alarm.
std::optional<Delays> Run(std::uint64_t seed, double rise) {
  base::Random random(seed);
  DriftMonitor monitor =
      DriftMonitor::Create({.classes = 10, .false_alarm_every = kEvery, .seed = seed}).value();
  Cusum told = Cusum::Create({.k = 0.5, .run_length = kEvery}).value();
  Cusum best = Cusum::Create({.k = rise / 2.0, .run_length = kEvery}).value();
  std::optional<std::uint64_t> monitor_at, told_at, best_at;
  for (std::uint64_t i = 0; i < kCalm + kHorizon && !(monitor_at && told_at && best_at); ++i) {
    const auto label = static_cast<std::uint16_t>(random.Below(10));
    const double score = random.Normal() + (i < kCalm ? 0.0 : rise);
    const auto distance = static_cast<float>(std::exp(0.5 * score + 0.3 * label));
    // The first alarm of each counts.
    const Sample sample = OneSignal(i, label, Signal::kAnchorDistance, distance);
    if (!monitor_at && monitor.Observe(sample) == DriftSignal::kDrift) {
      monitor_at = i;
    }
    if (!told_at && told.Observe(score) == DriftSignal::kDrift) told_at = i;
    if (!best_at && best.Observe(score) == DriftSignal::kDrift) best_at = i;
    if (i < kCalm && (monitor_at || told_at || best_at)) return std::nullopt;
  }
  const auto delay = [](const std::optional<std::uint64_t>& at) {
    return static_cast<double>(at ? *at - kCalm + 1 : kHorizon);
  };
  return Delays{.monitor = delay(monitor_at),
                .told = delay(told_at),
                .best = delay(best_at),
                .missed = !monitor_at};
}

void Report(double rise, const char* name, int runs) {
  double monitor = 0.0;
  double told = 0.0;
  double best = 0.0;
  int done = 0;
  int missed = 0;
  for (std::uint64_t seed = 2001; done < runs; ++seed) {
    const std::optional<Delays> delays = Run(seed, rise);
    if (!delays) continue;
    monitor += delays->monitor / runs;
    told += delays->told / runs;
    best += delays->best / runs;
    missed += delays->missed ? 1 : 0;
    ++done;
  }
  CHECK(rise < 1.0 || missed == 0);
  const std::string conditions = base::StrCat(
      "mean of ", runs, " runs, rise of ", rise, " standard deviations, a false alarm every ",
      kEvery, ", ", missed, " missed; baseline: told level and spread; made for this rise: ",
      std::round(10.0 * best) / 10.0);
  bench::Print({.name = base::StrCat("drift_quality.delay.", name),
                .value = monitor,
                .unit = "samples",
                .baseline = told,
                .conditions = conditions});
}

}  // namespace

int main(int argc, char** argv) {
  const int runs = argc > 1 ? std::atoi(argv[1]) : 400;
  if (runs < 1) {
    std::fprintf(stderr, "delay [runs]\n");
    return 2;
  }
  Report(0.5, "half_sigma", runs);
  Report(1.0, "1_sigma", runs);
  Report(2.0, "2_sigma", runs);
  Report(3.0, "3_sigma", runs);
  return 0;
}
