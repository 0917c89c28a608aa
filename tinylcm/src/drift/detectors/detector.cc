#include "tinylcm/drift/detectors/detector.h"

#include <cmath>

namespace tinylcm::drift {

namespace {
constexpr std::uint32_t kStateVersion = 1;

std::uint64_t DigestOf(const Detector& detector) {
  OptionsDigest digest;
  detector.AddTo(digest);
  return digest.value();
}

base::Status ReadWhole(Detector& detector, base::ByteView block) {
  ASSIGN_OR_RETURN(StateReader reader, StateReader::Open(block, kStateVersion, DigestOf(detector)));
  detector.Read(reader);
  return reader.AtEnd();
}
}  // namespace

const char* Name(DriftSignal signal) {
  switch (signal) {
    case DriftSignal::kSteady:
      return "steady";
    case DriftSignal::kLearning:
      return "learning";
    case DriftSignal::kWarning:
      return "warning";
    case DriftSignal::kDrift:
      return "drift";
  }
  return "steady";
}

base::Status Detector::Accepts(double value) const {
  if (std::isfinite(value)) return {};
  return base::Error{base::ErrorCode::kInvalidArgument, "a finite number is expected"};
}

base::Bytes SaveDetector(const Detector& detector) {
  StateWriter writer;
  detector.Write(writer);
  return std::move(writer).Seal(kStateVersion, DigestOf(detector));
}

base::Status RestoreDetector(Detector& detector, base::ByteView block) {
  // Tried on a spare one first.
  RETURN_IF_ERROR(ReadWhole(*detector.Clone(), block));
  return ReadWhole(detector, block);
}

}  // namespace tinylcm::drift
