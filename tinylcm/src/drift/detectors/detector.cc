#include "tinylcm/drift/detectors/detector.h"

#include "base/text.h"
#include "tinylcm/drift/detectors/cusum.h"

namespace tinylcm::drift {
namespace {

using base::Error;
using base::ErrorCode;

// The limit's run length where a person names neither a limit nor a run length.
constexpr double kUsualRunLength = 10'000.0;

base::Result<std::unique_ptr<Detector>> MakeCusum(const DetectorOptions& options,
                                                  std::optional<double> run_length) {
  Cusum::Options parsed;
  for (const auto& [key, text] : options) {
    if (key == "mode") {
      if (text == "up") {
        parsed.side = Cusum::Side::kUp;
      } else if (text == "down") {
        parsed.side = Cusum::Side::kDown;
      } else if (text == "both") {
        parsed.side = Cusum::Side::kBoth;
      } else {
        return Error{ErrorCode::kInvalidArgument, "cusum: mode must be up, down or both"};
      }
      continue;
    }
    double* field = key == "k"      ? &parsed.k
                    : key == "h"    ? &parsed.h
                    : key == "mean" ? &parsed.mean
                    : key == "sd"   ? &parsed.sd
                                    : nullptr;
    if (field == nullptr) {
      return Error{ErrorCode::kInvalidArgument,
                   base::StrCat("cusum: no option ", key, "; there are h, k, mean, mode, sd")};
    }
    const base::Result<double> number = base::ParseDouble(text);
    if (!number.ok()) return number.error().Within(base::StrCat("cusum: ", key));
    *field = *number;
    if (key == "h" && !(parsed.h > 0.0)) {
      return Error{ErrorCode::kInvalidArgument, "cusum: h must be > 0"};
    }
  }
  if (run_length) {
    if (!(*run_length >= 2.0)) {
      return Error{ErrorCode::kInvalidArgument, "cusum: run length must be >= 2"};
    }
    parsed.run_length = *run_length;
  } else if (parsed.h == 0.0) {
    parsed.run_length = kUsualRunLength;
  }
  ASSIGN_OR_RETURN(Cusum cusum, Cusum::Create(parsed));
  return std::unique_ptr<Detector>(std::make_unique<Cusum>(cusum));
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

std::vector<std::string_view> DetectorNames() { return {"cusum"}; }

base::Result<std::unique_ptr<Detector>> MakeDetector(std::string_view name,
                                                     const DetectorOptions& options,
                                                     std::optional<double> run_length) {
  if (name == "cusum") return MakeCusum(options, run_length);
  return Error{ErrorCode::kNotFound, base::StrCat("no detector ", name)};
}

}  // namespace tinylcm::drift
