// D1: how many samples does a shift go unnoticed, at a false alarm every 10,000 samples?
//
// Beside the CUSUM (k .5, two-sided) that was told mean and deviation, on the same numbers, and
// held to that chart's exact mean delay. A miss is charged at the horizon; a run with an alarm
// before the shift does not count.

#include <cmath>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"
#include "bench/drift/bars.h"
#include "bench/drift/streams.h"
#include "bench/drift/watching.h"
#include "tinylcm/drift/detectors/cusum.h"

namespace bench::drift {

namespace {

using base::StrCat;
using tinylcm::drift::Cusum;
using tinylcm::drift::DriftMonitor;
using tinylcm::drift::DriftSignal;

constexpr double kEvery = 1e4;
constexpr std::uint64_t kHorizon = 5000;

struct Shift {
  const char* name;
  double deviations;
  double optimal;  // spc: xcusum.arl(k = .5, h = 8.053049, mu, two-sided).
};
constexpr Shift kShifts[] = {{"half_sigma", 0.5, 85.0},
                             {"1_sigma", 1.0, 16.5},
                             {"2_sigma", 2.0, 6.0},
                             {"3_sigma", 3.0, 3.8}};

struct Setting {
  std::string name;
  World world;
  std::uint64_t calm = 0;  // Samples watched before the shift.
  double allowed = 1.25;   // Times the optimal delay.
  std::string what;
};

struct Delays {
  double ours = 0.0;
  double told = 0.0;
  bool missed = false;
};

// Samples from the first shifted one to the alarm, both counted. Nothing after a false alarm.
std::optional<Delays> Run(const Setting& setting, double shift, std::uint64_t seed) {
  DriftMonitor monitor = MakeMonitor({.classes = setting.world.classes,
                                      .signals = MaskOf(setting.world),
                                      .every = kEvery,
                                      .seed = seed});
  Stream stream(setting.world, seed);
  for (std::uint64_t watched = 0; watched < setting.calm;) {
    const DriftSignal signal = monitor.Observe(stream.Next());
    if (signal == DriftSignal::kDrift) return std::nullopt;
    watched += signal == DriftSignal::kLearning ? 0 : 1;
  }
  Delays delays = {.ours = static_cast<double>(kHorizon), .missed = true};
  for (std::uint64_t i = 1; i <= kHorizon; ++i) {
    if (monitor.Observe(stream.Next(shift)) != DriftSignal::kDrift) continue;
    delays = {.ours = static_cast<double>(i), .missed = false};
    break;
  }
  // The chart that knows everything, started on a calm stream of its own.
  static const double limit =
      Cusum::Create({.k = 0.5, .run_length = kEvery, .side = Cusum::Side::kBoth}).value().limit();
  Cusum told = Cusum::Create({.k = 0.5, .h = limit, .side = Cusum::Side::kBoth}).value();
  base::Random random(seed ^ 0x5eed);
  for (int i = 0; i < 200; ++i) (void)told.Observe(random.Normal());
  delays.told = static_cast<double>(kHorizon);
  for (std::uint64_t i = 1; i <= kHorizon; ++i) {
    if (told.Observe(random.Normal() + shift) != DriftSignal::kDrift) continue;
    delays.told = static_cast<double>(i);
    break;
  }
  return delays;
}

}  // namespace

void Delay(const Settings& settings, Table& table) {
  const World single = {.law = Law::kLogNormal};
  World ten = single;
  ten.classes = 10;
  World fused = single;
  fused.signals = 4;
  World together = fused;
  together.together = 0.8;
  const Setting kinds[] = {
      {"single", single, 4000, 1.25, "one signal, one class, 4,000 calm samples"},
      {"single_young", single, 500, 1.25, "one signal, one class, 500 calm samples"},
      {"single_ten", ten, 4000, 1.25, "one signal, ten classes, 4,000 calm samples"},
      {"fused", fused, 4000, 1.5, "one of four independent signals shifts, 4,000 calm samples"},
      {"fused_together", together, 4000, 1.5,
       "one of four signals shifts, correlation .8, 4,000 calm samples"},
  };
  std::uint64_t seed = 60'000'000;
  for (const Setting& setting : kinds) {
    for (const Shift& shift : kShifts) {
      seed += 100'000;
      // A third has a false alarm in the calm part.
      std::vector<std::optional<Delays>> runs(settings.Runs(shift.deviations < 1.0 ? 1500 : 1000));
      ForEach(runs.size(), settings.threads,
              [&](std::size_t i) { runs[i] = Run(setting, shift.deviations, seed + i); });
      std::vector<double> ours;
      double told = 0.0;
      int missed = 0;
      for (const std::optional<Delays>& run : runs) {
        if (!run) continue;
        ours.push_back(run->ours);
        told += run->told;
        missed += run->missed ? 1 : 0;
      }
      const Summary is = Summarise(ours);
      table.Add({.name = StrCat("d1.", setting.name, ".", shift.name),
                 .bar = "D1",
                 .value = is.mean,
                 .low = is.mean_low,
                 .high = is.mean_high,
                 .unit = "samples",
                 .at_most = setting.allowed * shift.optimal,
                 .baseline = told / static_cast<double>(ours.size()),
                 .conditions =
                     StrCat(setting.what, ", mean of ", ours.size(), " runs, median ", is.median,
                            ", ", missed, " missed (charged ", kHorizon, "), every ", kEvery,
                            ", seeds from ", seed, "; baseline: CUSUM told mean and deviation")});
    }
  }
}

}  // namespace bench::drift
