// Detector: watches one number and says when it no longer behaves as it did.
//
// A zoo of them lives in this folder: one picture, one paper and one file each. All can be had by
// name, with options as a person types them. None is set by a raw constant unless one is given: the
// limit follows from `run_length`, how many values apart false alarms may be on average. The guide
// is docs/guides/detectors.md.

#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "tinylcm/drift/signal.h"
#include "tinylcm/drift/state_block.h"

namespace tinylcm::drift {

// Not thread-safe. Every detector keeps the promises of src/drift/detectors/
// detector_contract_test.cc: no allocation once made, same stream same signals, as new after Reset,
// goes on bit for bit from a restored state.
class Detector {
 public:
  virtual ~Detector() = default;

  // Takes in one value. After kDrift the detector has started afresh.
  //
  // REQUIRES: Accepts(value). The pipeline's intake drops and counts the rest.
  virtual DriftSignal Observe(double value) = 0;
  // Takes in one row, as many numbers as the detector was made for (`width`); most watch one.
  //
  // REQUIRES: values.size() == width(), each accepted.
  virtual DriftSignal ObserveRow(std::span<const double> values) { return Observe(values[0]); }
  // Numbers a row.
  virtual std::size_t width() const { return 1; }
  // Why a value cannot be taken in ("a whole number from 0 to 9 is expected"); every finite number
  // can, unless the detector says otherwise.
  virtual base::Status Accepts(double value) const;

  // What was compared with the limit at the last Observe; 0 before the first.
  virtual double statistic() const = 0;
  // Above (or, where a small number is the alarming one, below) which there is drift.
  virtual double limit() const = 0;

  virtual void Reset() = 0;

  // Everything learned so far, as a part of a state block. Read refuses what no run leaves behind
  // and may then have changed the detector: see RestoreDetector.
  virtual void Write(StateWriter& writer) const = 0;
  virtual void Read(StateReader& reader) = 0;
  // All that must be equal for a state to fit.
  virtual void AddTo(OptionsDigest& digest) const = 0;
  virtual std::unique_ptr<Detector> Clone() const = 0;
};

// A detector's state as one block, whole or refused.
base::Bytes SaveDetector(const Detector& detector);
// Goes on from a saved block. kCorrupt, kUnsupported or kInvalidArgument (made with other options)
// leave the detector untouched.
base::Status RestoreDetector(Detector& detector, base::ByteView block);

// Options as typed by a person: {"k", "0.5"}.
using DetectorOptions = std::vector<std::pair<std::string, std::string>>;

// The limit's run length where a person names neither a limit nor a run length.
inline constexpr double kUsualRunLength = 10'000.0;

// What there is to set, for help texts and for checking what a person typed.
struct DetectorOption {
  std::string_view name;
  std::string_view usual;  // As it would be typed; "solved" where the run length gives it.
  std::string_view meaning;
  bool is_limit = false;  // Excludes a run length.
};
struct DetectorKind {
  std::string_view name;
  std::string_view watches;  // "a change of the mean, by an adaptive window"
  std::string_view takes;    // What a value is.
  std::string_view assumes;  // Under what the run length holds.
  std::span<const DetectorOption> options;
};

// All there are, by name.
std::span<const DetectorKind> DetectorKinds();
const DetectorKind* FindDetectorKind(std::string_view name);
// Whether one of the options sets the limit, so that no run length does. False for an unknown name.
bool HasLimit(std::string_view detector, const DetectorOptions& options);
// The names MakeDetector knows, sorted.
std::vector<std::string_view> DetectorNames();

// A detector by name. `run_length`: the mean number of values between false alarms; where neither
// it nor a limit is given, kUsualRunLength. kNotFound for an unknown name; kInvalidArgument for an
// unknown option, a malformed value or a pair that contradicts (both a limit and a run length).
base::Result<std::unique_ptr<Detector>> MakeDetector(std::string_view name,
                                                     const DetectorOptions& options,
                                                     std::optional<double> run_length);

}  // namespace tinylcm::drift
