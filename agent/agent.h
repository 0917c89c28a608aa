// Agent: `tinylcm run`. Four threads, each with one job:
//
//   frame    source -> answer -> drift         never waits for a disk, a network or a lock for long
//   control  quarantine, labels, bundles       does what the lifecycle decides
//   network  packages out, desired state in    may take as long as the network does
//   main     the log of predictions, status    and the signal to stop
//
// A clean stop loses nothing that was buffered; a kill at most one second of the log. On SIGHUP the
// configuration is read anew: taken over whole, or not at all (reload.cc).

#pragma once

#include <atomic>
#include <functional>

#include "agent/config.h"
#include "base/clock.h"
#include "base/file_system.h"
#include "base/logger.h"
#include "base/result.h"

namespace agent {

// What the program was told from outside; both may be set from a signal handler.
struct Signals {
  std::atomic<bool> stop{false};
  std::atomic<bool> reload{false};
};

// Reads the configuration's file anew.
using ConfigReader = std::function<base::Result<Config>()>;

// Runs until `signals.stop` is set or the source ends. kInvalidArgument and kCorrupt for what a
// person must mend, kConflict if another agent runs on the folder.
base::Status RunAgent(const Config& config, const ConfigReader& reread, base::FileSystem& fs,
                      base::Clock& clock, base::Logger& logger, Signals& signals);

}  // namespace agent
