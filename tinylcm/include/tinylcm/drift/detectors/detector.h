// Detector: watches one number and says when it no longer behaves as it did.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "tinylcm/drift/signal.h"

namespace tinylcm::drift {

// Not thread-safe. Every detector keeps the promises of
// src/drift/detectors/detector_contract_test.cc: no allocation once warm, same stream same signals,
// as new after Reset, goes on from a restored state.
class Detector {
 public:
  virtual ~Detector() = default;

  // Takes in one value. After kDrift the detector has started afresh.
  //
  // REQUIRES: value is finite. The pipeline's intake drops and counts the rest.
  virtual DriftSignal Observe(double value) = 0;

  // What was compared with the limit at the last Observe; 0 before the first.
  virtual double statistic() const = 0;

  virtual void Reset() = 0;

  // Everything learned so far. Restore refuses a state of another shape and then changes nothing.
  // REQUIRES: the state came from a detector with the same options.
  virtual base::Json SaveState() const = 0;
  virtual base::Status RestoreState(const base::Json& state) = 0;
};

// Options as typed by a person: {"k", "0.5"}.
using DetectorOptions = std::vector<std::pair<std::string, std::string>>;

// The names MakeDetector knows, sorted.
std::vector<std::string_view> DetectorNames();

// A detector by name. `run_length`: the mean number of values between false alarms; where it is
// given, the limit is solved for it. kNotFound for an unknown name; kInvalidArgument for an unknown
// option, a malformed value or a pair that contradicts (both `h` and a run length).
base::Result<std::unique_ptr<Detector>> MakeDetector(std::string_view name,
                                                     const DetectorOptions& options,
                                                     std::optional<double> run_length);

}  // namespace tinylcm::drift
