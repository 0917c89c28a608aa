#include "tinylcm/classify/anchors.h"

#include <algorithm>
#include <cmath>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::classify {

void Anchors::Add(std::span<const float> vector, std::uint16_t label, float weight_of_vote) {
  if (labels.empty()) dims = vector.size();
  CHECK(vector.size() == dims);
  if (weights.empty() && weight_of_vote != 1.0f) weights.assign(labels.size(), 1.0f);
  vectors.insert(vectors.end(), vector.begin(), vector.end());
  labels.push_back(label);
  if (!weights.empty() || weight_of_vote != 1.0f) weights.push_back(weight_of_vote);
}

base::Status Validate(const Anchors& anchors, std::uint32_t classes) {
  const auto refuse = [](std::string_view what) {
    return base::Error{base::ErrorCode::kInvalidArgument, base::StrCat("anchors: ", what)};
  };
  const std::size_t count = anchors.labels.size();
  if (count > 0 && anchors.dims == 0) return refuse("vectors without dimensions");
  if (anchors.vectors.size() != count * anchors.dims) {
    return refuse(base::StrCat(count, " labels, but ", anchors.vectors.size(), " numbers in ",
                               anchors.dims, " dimensions"));
  }
  if (!anchors.weights.empty() && anchors.weights.size() != count) {
    return refuse("weights must be one a vector, or none");
  }
  for (std::size_t i = 0; i < count; ++i) {
    if (anchors.labels[i] >= classes) {
      return refuse(base::StrCat("vector ", i, " has class ", anchors.labels[i], " of ", classes));
    }
    if (!(anchors.weight(i) > 0.0f && std::isfinite(anchors.weight(i)))) {
      return refuse(base::StrCat("vector ", i, " has a weight that is not positive"));
    }
    if (!std::ranges::all_of(anchors.row(i), [](float value) { return std::isfinite(value); })) {
      return refuse(base::StrCat("vector ", i, " holds a number that is not finite"));
    }
  }
  return {};
}

}  // namespace tinylcm::classify
