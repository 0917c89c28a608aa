// Do false alarms come as often as was asked for, and no oftener? C1 on independent samples, C2 on
// samples in order of class, C3 on samples that remember the one before, C4 with several signals,
// D4 over a long time.

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "base/random.h"
#include "base/text.h"
#include "bench/drift/bars.h"
#include "bench/drift/streams.h"
#include "bench/drift/watching.h"
#include "tinylcm/evaluation/interval.h"

namespace bench::drift {

namespace {

using base::StrCat;
using tinylcm::drift::DriftMonitor;
using tinylcm::drift::DriftSignal;
using tinylcm::drift::RunLengthEstimate;

struct Cell {
  std::string name;
  std::string bar;
  Watch watch;
  double at_least = 0.0;
  double at_most = 0.0;
  bool touches = false;
  std::string what;
};

// The run length as a share of what was asked for.
void Measure(const Settings& settings, const Cell& cell, const MakeSource& source,
             std::size_t devices, std::uint64_t seed, Table& table) {
  const RunLengthEstimate is = RunLength(cell.watch, source, devices, seed, settings.threads);
  const double every = cell.watch.every;
  // Without any alarm the least it can be, rather than infinity.
  const double value = is.alarms > 0 ? is.mean / every
                                     : static_cast<double>(is.values) / every /
                                           tinylcm::evaluation::PoissonInterval(0).high;
  table.Add({.name = cell.name,
             .bar = cell.bar,
             .value = value,
             .low = is.alarms > 0 ? is.low / every : value,
             .high = is.alarms > 0 ? is.high / every : value,
             .unit = "of target",
             .better = "one",
             .at_least = cell.at_least,
             .at_most = cell.at_most,
             .touches = cell.touches,
             .conditions =
                 StrCat(cell.what, ", every ", every, ", commissioned on ", cell.watch.commission,
                        ", ", is.alarms, " alarms of ", devices, " devices, seeds from ", seed)});
}

constexpr auto kLevelSignal = tinylcm::drift::Signal::kAnchorDistance;

// Four classes in turn, fifty samples each.
MakeSource InLevels(double level_sd) {
  return [level_sd](std::uint64_t seed) -> Source {
    return [level_sd, random = base::Random(seed), at = std::uint64_t{0}, level = 0.0,
            sample = tinylcm::drift::Sample{}]() mutable -> const tinylcm::drift::Sample& {
      if (at % 50 == 0) level = level_sd * random.Normal();
      const auto predicted = static_cast<std::uint16_t>(at / 50 % 4);
      sample = tinylcm::drift::OneSignal(at++, predicted, kLevelSignal,
                                         static_cast<float>(level + 0.8 * random.Normal()));
      return sample;
    };
  };
}

std::string Short(double every) {
  return StrCat("1e", static_cast<int>(std::lround(std::log10(every))));
}

}  // namespace

void RunLengthIid(const Settings& settings, Table& table) {
  struct Target {
    double every;
    std::size_t devices;
  };
  std::uint64_t seed = 10'000'000;
  for (const Target& target : {Target{1e3, 4000}, Target{1e4, 2000}, Target{1e5, 60}}) {
    for (const Law law : {Law::kNormal, Law::kLogNormal, Law::kStudent3, Law::kSixLevels}) {
      for (const std::uint32_t commission : {100u, 500u, 5000u}) {
        const World world = {.law = law};
        seed += 100'000;
        Measure(settings,
                {.name = StrCat("c1.", Name(law), ".", Short(target.every), ".n", commission),
                 .bar = "C1",
                 .watch = {.classes = 1,
                           .signals = MaskOf(world),
                           .every = target.every,
                           .commission = commission},
                 .at_least = 0.9,
                 .at_most = 1.1,
                 .touches = target.every > 1e4,
                 .what = StrCat(Name(law), ", independent")},
                Of(world), settings.Runs(target.devices), seed, table);
      }
    }
  }
}

void RunLengthInBlocks(const Settings& settings, Table& table) {
  std::uint64_t seed = 20'000'000;
  const auto measure = [&](const char* name, const World& world, std::size_t devices,
                           const char* what, const MakeSource& source) {
    seed += 100'000;
    Measure(settings,
            {.name = StrCat("c2.", name),
             .bar = "C2",
             .watch = {.classes = world.classes, .signals = MaskOf(world), .every = 1e4},
             .at_least = 0.8,
             .at_most = 1.3,
             .what = what},
            source, settings.Runs(devices), seed, table);
  };
  const World ten = {.law = Law::kLogNormal, .classes = 10};
  measure("log_normal.any_order", ten, 1000, "log-normal, ten classes in any order", Of(ten));
  World blocks = ten;
  blocks.blocks = true;
  measure("log_normal.blocks", blocks, 1000, "log-normal, ten classes, spells of two", Of(blocks));
  for (const bool in_blocks : {false, true}) {
    const World digits = {.classes = Digits::kClasses};
    measure(in_blocks ? "digits.blocks" : "digits.any_order", digits, 300,
            in_blocks ? "5-NN distances of real digits, spells of two classes"
                      : "5-NN distances of real digits, any order",
            [in_blocks](std::uint64_t seed_of_device) -> Source {
              auto stream = std::make_shared<Digits>(seed_of_device, in_blocks);
              return [stream]() -> const tinylcm::drift::Sample& { return stream->Next(); };
            });
  }
  // As a whole device would: several signals, and the mix of classes among them.
  for (const bool in_blocks : {false, true}) {
    const World mix = {.law = Law::kLogNormal,
                       .classes = 10,
                       .blocks = in_blocks,
                       .signals = 4,
                       .together = 0.8,
                       .class_mix = true};
    seed += 100'000;
    Measure(settings,
            {.name = in_blocks ? "c2.fused.blocks" : "c2.fused.any_order",
             .bar = "C2",
             .watch = {.classes = 10, .signals = MaskOf(mix), .every = 1e4},
             .at_least = 0.8,
             .at_most = std::numeric_limits<double>::infinity(),
             .what = in_blocks ? "four signals and the class mix, spells of two classes"
                               : "four signals and the class mix, any order"},
            Of(mix), settings.Runs(300), seed, table);
  }
  // Classes one at a time, each spell at a level of its own: a belt that is loaded anew.
  for (const double level_sd : {0.25, 0.4}) {
    seed += 100'000;
    Measure(settings,
            {.name = StrCat("c2.levels", level_sd, ".blocks"),
             .bar = "C2",
             .watch = {.classes = 4, .signals = Bit(kLevelSignal), .every = 1e4},
             .at_least = 0.8,
             .at_most = 1.3,
             .what = StrCat("four classes, spells of 50, each at a level of deviation ", level_sd,
                            " where values have 0.8")},
            InLevels(level_sd), settings.Runs(300), seed, table);
  }
}

void RunLengthCorrelated(const Settings& settings, Table& table) {
  std::uint64_t seed = 30'000'000;
  for (const double rho : {0.5, 0.9}) {
    for (const std::uint32_t commission : {300u, 1000u}) {
      const World world = {.law = Law::kNormal, .correlation = rho};
      seed += 100'000;
      Measure(settings,
              {.name = StrCat("c3.rho", rho, ".n", commission),
               .bar = "C3",
               .watch =
                   {.classes = 1, .signals = MaskOf(world), .every = 1e4, .commission = commission},
               .at_least = 0.5,
               .at_most = 2.0,
               .what = StrCat("AR(1) of ", rho)},
              Of(world), settings.Runs(1000), seed, table);
    }
  }
}

void RunLengthFused(const Settings& settings, Table& table) {
  std::uint64_t seed = 40'000'000;
  for (const std::uint32_t classes : {1u, 10u}) {
    for (const double together : {0.0, 0.8}) {
      const World world = {
          .law = Law::kLogNormal, .classes = classes, .signals = 4, .together = together};
      seed += 100'000;
      Measure(settings,
              {.name = StrCat("c4.corr", together, ".classes", classes),
               .bar = "C4",
               .watch = {.classes = classes, .signals = MaskOf(world), .every = 1e4},
               .at_least = 1.0,
               .at_most = 2.5,
               .what = StrCat("four log-normal signals, correlation ", together, ", ", classes,
                              classes == 1 ? " class" : " classes")},
              Of(world), settings.Runs(1500), seed, table);
    }
  }
}

void FalseAlarmsLong(const Settings& settings, Table& table) {
  struct Kind {
    const char* name;
    World world;
  };
  const Kind kinds[] = {
      {"normal", {.law = Law::kNormal}},
      {"blocks", {.law = Law::kLogNormal, .classes = 10, .blocks = true}},
      {"six_levels", {.law = Law::kSixLevels, .classes = 2}},
      {"four_signals", {.law = Law::kStudent3, .classes = 5, .signals = 4, .together = 0.8}},
  };
  constexpr double kEvery = 1e6;
  constexpr std::size_t kDevices = 10;
  const std::uint64_t watched_of_each = settings.quick ? 50'000 : 1'250'000;
  std::uint64_t all_alarms = 0;
  std::uint64_t all_watched = 0;
  std::uint64_t seed = 50'000'000;
  const auto add = [&](const std::string& name, std::uint64_t alarms, std::uint64_t watched,
                       const std::string& what, bool is_bar) {
    const double millions = static_cast<double>(watched) / 1e6;
    const auto interval = tinylcm::evaluation::PoissonInterval(alarms);
    Measured measured = {.name = name,
                         .bar = "D4",
                         .value = static_cast<double>(alarms) / millions,
                         .low = interval.low / millions,
                         .high = interval.high / millions,
                         .unit = "per 1e6",
                         .conditions = what};
    if (is_bar) measured.at_most = 1.5;
    table.Add(measured);
  };
  for (const Kind& kind : kinds) {
    std::vector<std::uint64_t> alarms(kDevices, 0);
    seed += 100'000;
    ForEach(kDevices, settings.threads, [&](std::size_t device) {
      const std::uint64_t own = seed + device;
      DriftMonitor monitor = MakeMonitor({.classes = kind.world.classes,
                                          .signals = MaskOf(kind.world),
                                          .every = kEvery,
                                          .seed = own});
      Stream stream(kind.world, own);
      for (std::uint64_t watched = 0; watched < watched_of_each;) {
        const DriftSignal signal = monitor.Observe(stream.Next());
        watched += signal == DriftSignal::kLearning ? 0 : 1;
        if (signal != DriftSignal::kDrift) continue;
        ++alarms[device];
        monitor.Rebaseline();
      }
    });
    std::uint64_t sum = 0;
    for (const std::uint64_t count : alarms) sum += count;
    const std::uint64_t watched = kDevices * watched_of_each;
    add(StrCat("d4.", kind.name), sum, watched,
        StrCat(sum, " alarms in ", watched, " samples, seeds from ", seed), false);
    all_alarms += sum;
    all_watched += watched;
  }
  add("d4.all", all_alarms, all_watched,
      StrCat(all_alarms, " alarms in ", all_watched, " samples of four kinds, every ", kEvery),
      true);
}

}  // namespace bench::drift
