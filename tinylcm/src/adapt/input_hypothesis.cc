#include "tinylcm/adapt/input_hypothesis.h"

#include <algorithm>
#include <utility>

#include "base/text.h"

namespace tinylcm::adapt {

using base::StrCat;

const char* Name(StepKind kind) {
  switch (kind) {
    case StepKind::kChannelGain:
      return "channel_gain";
    case StepKind::kFlatField:
      return "flat_field";
    case StepKind::kFlatFieldContrast:
      return "flat_field_contrast";
    case StepKind::kRotate:
      return "rotate";
    case StepKind::kHistogramMatch:
      return "histogram_match";
    case StepKind::kMedian:
      return "median";
    case StepKind::kGaussian:
      return "gaussian";
    case StepKind::kUnsharp:
      return "unsharp";
    case StepKind::kRowGain:
      return "row_gain";
    case StepKind::kRepair:
      return "repair";
  }
  return "unknown";
}

std::string InputStep::name() const {
  if (kind == StepKind::kRotate) return StrCat(Name(kind), '(', angle_degrees, ')');
  if (kind == StepKind::kUnsharp) {
    const std::string tenths = sigma_tenths % 10 == 0 ? "" : StrCat('.', sigma_tenths % 10);
    return StrCat(Name(kind), '(', sigma_tenths / 10, tenths, ')');
  }
  const auto is_zero = [](float weight) { return weight == 0.0f; };
  if (kind == StepKind::kRepair && std::all_of(weights.begin(), weights.end(), is_zero)) {
    return StrCat(Name(kind), "(mean)");
  }
  return Name(kind);
}

InputHypothesis InputHypothesis::Of(InputStep step) {
  InputHypothesis hypothesis;
  hypothesis.steps.push_back(std::move(step));
  return hypothesis;
}

std::string InputHypothesis::name() const {
  if (steps.empty()) return "identity";
  std::string name;
  for (const InputStep& step : steps) name += (name.empty() ? "" : " + ") + step.name();
  return name;
}

}  // namespace tinylcm::adapt
