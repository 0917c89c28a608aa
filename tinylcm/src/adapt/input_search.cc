#include "tinylcm/adapt/input_search.h"

#include <algorithm>

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::adapt {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::Status;
using base::StrCat;

InputSearch::InputSearch(std::vector<InputHypothesis> hypotheses, PictureSize size,
                         classify::KnnClassifier knn, EmbedPicture embed)
    : hypotheses_(std::move(hypotheses)),
      size_(size),
      knn_(std::move(knn)),
      embed_(std::move(embed)),
      features_(hypotheses_.size()),
      distances_(hypotheses_.size(), 0.0),
      correct_(hypotheses_.size(), 0),
      picture_(size.bytes()) {}

Result<InputSearch> InputSearch::Create(std::vector<InputHypothesis> hypotheses, PictureSize size,
                                        const classify::KnnClassifier& knn, EmbedPicture embed) {
  if (hypotheses.empty() || !hypotheses.front().is_identity()) {
    return Error{ErrorCode::kInvalidArgument, "input search: identity must come first"};
  }
  std::vector<PictureTransform> transforms;
  for (const InputHypothesis& hypothesis : hypotheses) {
    ASSIGN_OR_RETURN(PictureTransform transform, PictureTransform::Create(hypothesis, size));
    transforms.push_back(std::move(transform));
  }
  InputSearch search(std::move(hypotheses), size, knn, std::move(embed));
  // What was remembered under drift would make the drifted picture look near.
  RETURN_IF_ERROR(search.knn_.SetMemory({}));
  search.transforms_ = std::move(transforms);
  return search;
}

Status InputSearch::Add(std::span<const std::uint8_t> picture, std::optional<std::uint16_t> label) {
  if (picture.size() != size_.bytes()) {
    return Error{ErrorCode::kInvalidArgument,
                 StrCat("input search: ", picture.size(), " bytes, ", size_.bytes(), " expected")};
  }
  const std::size_t dims = knn_.dims();
  std::vector<std::vector<float>> features(hypotheses_.size(), std::vector<float>(dims));
  for (std::size_t h = 0; h < hypotheses_.size(); ++h) {
    std::copy(picture.begin(), picture.end(), picture_.begin());
    transforms_[h].Apply(picture_);
    RETURN_IF_ERROR(embed_(picture_, features[h]));
  }
  // Only now, so that a picture that fails half-way counts for none.
  for (std::size_t h = 0; h < hypotheses_.size(); ++h) {
    const classify::Prediction prediction = knn_.Classify(features[h]);
    distances_[h] += static_cast<double>(prediction.anchor_distance);
    if (label && prediction.nearest == *label) ++correct_[h];
    features_[h].insert(features_[h].end(), features[h].begin(), features[h].end());
  }
  if (label) ++labelled_;
  ++count_;
  return {};
}

InputSearchResult InputSearch::Finish(const SearchRule& rule) const {
  CHECK(count_ > 0);
  InputSearchResult result;
  result.labelled = labelled_;
  for (std::size_t h = 0; h < hypotheses_.size(); ++h) {
    result.scores.push_back({.name = hypotheses_[h].name(),
                             .distance = distances_[h] / static_cast<double>(count_),
                             .correct = correct_[h]});
    if (result.scores[h].distance < result.scores[result.best].distance) result.best = h;
  }
  const InputSearchResult::Score& identity = result.scores.front();
  const InputSearchResult::Score& best = result.scores[result.best];
  result.ratio = identity.distance > 0.0 ? best.distance / identity.distance : 1.0;
  const bool is_near = result.best != 0 && result.ratio <= static_cast<double>(rule.ratio_max);
  result.is_vetoed = is_near && best.correct < identity.correct - rule.labels_lost_max;
  result.is_adopted = is_near && !result.is_vetoed;
  if (result.is_adopted) result.hypothesis = hypotheses_[result.best];
  return result;
}

}  // namespace tinylcm::adapt
