// What a detector's setting means: the run length it gives, or the limit that gives a run length.
//
// By the equation where there is one (cusum, ewma, page_hinkley that forgets nothing), else by
// trial (monte_carlo.h) on the quiet stream that DetectorKind::assumes names.

#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "tinylcm/drift/detectors/detector.h"
#include "tinylcm/drift/detectors/monte_carlo.h"

namespace tinylcm::drift {

struct DetectorSetting {
  std::string limit_name;  // The option that sets it: "h", "delta", ...
  double limit = 0.0;
  RunLengthEstimate run_length;  // low = mean = high where an equation gave one number.
  bool is_exact = false;         // By an equation; otherwise an interval of 95 %.
};

// `target`: the limit is solved for it; without, `options` set it, or the usual run length does.
// The run length is that of the detector so made. Errors as MakeDetector's; kUnsupported for a run
// too long to be told. Some seconds at most (`work`).
base::Result<DetectorSetting> Describe(std::string_view name, const DetectorOptions& options,
                                       std::optional<double> target,
                                       const MonteCarlo& work = {.values = 20'000'000});

}  // namespace tinylcm::drift
