// Program: another program, run to its end as a child, with bounds on what it may take.
//
// It is what judges adaptations: the server links nothing of the device, and what a device sent is
// read by a process that may fail without anybody noticing but the one who asked.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"

namespace tinysphere::adaptation {

struct ProgramLimits {
  base::Duration time_limit{120'000};
  std::uint64_t memory_bytes_max = 4ull << 30;  // Address space.
  std::size_t output_bytes_max = 4u << 20;      // Of stdout; of stderr, the first 64 KiB are kept.
};

struct ProgramEnd {
  int exit_code = 0;  // 128 + N where signal N ended it.
  std::string out;
  std::string err;
};

// May be used from several threads.
class Program {
 public:
  virtual ~Program() = default;
  // What it is called, or why there is none: kNotFound with what to do about it.
  virtual base::Status Check() = 0;
  // Runs it with these arguments and waits. kNotFound: there is none; kExhausted: the time or the
  // output was up, and it was ended; kUnavailable: it could not be started, or Stop was called.
  virtual base::Result<ProgramEnd> Run(const std::vector<std::string>& arguments,
                                       const ProgramLimits& limits) = 0;
  // Ends what runs and lets nothing begin any more. Any thread.
  virtual void Stop() = 0;
};

}  // namespace tinysphere::adaptation
