#include "tinylcm/classify/head.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace tinylcm::classify {

using base::Error;
using base::ErrorCode;

const char* Name(ClassifierKind kind) {
  switch (kind) {
    case ClassifierKind::kKnn:
      return "knn";
    case ClassifierKind::kLinear:
      return "linear";
    case ClassifierKind::kSoftmax:
      return "softmax";
  }
  return "";
}

base::Result<ClassifierKind> ParseClassifierKind(std::string_view name) {
  using enum ClassifierKind;
  for (const auto kind : {kKnn, kLinear, kSoftmax}) {
    if (name == Name(kind)) return kind;
  }
  return Error{ErrorCode::kInvalidArgument,
               base::StrCat("classifier \"", name, "\": expected knn, linear or softmax")};
}

base::Status Validate(const HeadTensors& head, std::uint32_t classes, std::size_t dims) {
  const auto refuse = [](const std::string& what) {
    return Error{ErrorCode::kInvalidArgument, "head: " + what};
  };
  if (head.bias.size() != classes) {
    return refuse(base::StrCat(head.bias.size(), " outputs for ", classes, " labels"));
  }
  if (head.weights.size() != classes * dims) {
    return refuse(
        base::StrCat("weights of ", head.dims(), " numbers a class, the feature has ", dims));
  }
  const auto finite = [](const std::vector<float>& values) {
    return std::ranges::all_of(values, [](float v) { return std::isfinite(v); });
  };
  if (!finite(head.weights) || !finite(head.bias)) return refuse("a number is not finite");
  if (!(head.temperature > 0.0f && std::isfinite(head.temperature))) {
    return refuse("the temperature is not above 0");
  }
  return {};
}

}  // namespace tinylcm::classify
