#include "bench/drift/watching.h"

#include <vector>

namespace bench::drift {

using tinylcm::drift::DriftMonitor;
using tinylcm::drift::DriftSignal;
using tinylcm::drift::RunLengthEstimate;

DriftMonitor MakeMonitor(const Watch& watch, std::uint32_t channels) {
  DriftMonitor::Options options;
  options.classes = watch.classes;
  options.signals = watch.signals;
  options.channels = channels;
  options.false_alarm_every = watch.every;
  options.commission = watch.commission;
  options.seed = watch.seed;
  return DriftMonitor::Create(options).value();
}

MakeSource Of(const World& world) {
  return [world](std::uint64_t seed) -> Source {
    return [stream = Stream(world, seed)]() mutable -> const tinylcm::drift::Sample& {
      return stream.Next();
    };
  };
}

RunLengthEstimate RunLength(const Watch& watch, const MakeSource& source, std::size_t devices,
                            std::uint64_t first_seed, std::size_t threads) {
  struct Run {
    std::uint64_t watched = 0;
    bool alarmed = false;
  };
  std::vector<Run> runs(devices);
  ForEach(devices, threads, [&](std::size_t device) {
    Watch own = watch;
    own.seed = first_seed + device;
    DriftMonitor monitor = MakeMonitor(own);
    const Source next = source(own.seed);
    Run& run = runs[device];
    while (!run.alarmed && static_cast<double>(run.watched) < 20.0 * watch.every) {
      const DriftSignal signal = monitor.Observe(next());
      run.watched += signal == DriftSignal::kLearning ? 0 : 1;
      run.alarmed = signal == DriftSignal::kDrift;
    }
  });
  std::uint64_t alarms = 0;
  std::uint64_t watched = 0;
  double squares = 0.0;
  for (const Run& run : runs) {
    alarms += run.alarmed ? 1 : 0;
    watched += run.watched;
    squares += static_cast<double>(run.watched) * static_cast<double>(run.watched);
  }
  return tinylcm::drift::Summarise(alarms, squares, watched, alarms == devices);
}

}  // namespace bench::drift
