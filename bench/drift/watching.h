// Watching: many devices, each with a drift monitor of its own that is commissioned on its own
// stream, and how long they run until they alarm.

#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "bench/drift/streams.h"
#include "bench/drift/table.h"
#include "tinylcm/drift/detectors/monte_carlo.h"
#include "tinylcm/drift/drift_monitor.h"

namespace bench::drift {

struct Watch {
  std::uint32_t classes = 1;
  tinylcm::drift::SignalMask signals = 0;
  double every = 1e4;  // What is asked for: samples to a false alarm.
  std::uint32_t commission = 1000;
  std::uint64_t seed = 1;
};
tinylcm::drift::DriftMonitor MakeMonitor(const Watch& watch, std::uint32_t channels = 0);

// Draws the next sample of device d's stream, which begins with it.
using Source = std::function<const tinylcm::drift::Sample&()>;
using MakeSource = std::function<Source(std::uint64_t seed)>;
MakeSource Of(const World& world);

// The run length of `devices` devices, each watched from the end of its commissioning to its first
// alarm (at most twenty times what is asked for), seeds first_seed, first_seed + 1, ...
tinylcm::drift::RunLengthEstimate RunLength(const Watch& watch, const MakeSource& source,
                                            std::size_t devices, std::uint64_t first_seed,
                                            std::size_t threads);

}  // namespace bench::drift
