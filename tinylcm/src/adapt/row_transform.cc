#include "tinylcm/adapt/row_transform.h"

#include "base/check.h"
#include "base/text.h"

namespace tinylcm::adapt {

using base::Error;
using base::ErrorCode;
using base::Result;
using base::StrCat;

namespace {

bool Fits(const InputStep& step, std::size_t channels) {
  if (step.kind == StepKind::kRowGain) {
    return step.channels.empty() && step.base.size() == channels && step.weights.size() == channels;
  }
  if (step.kind != StepKind::kRepair || step.base.size() != step.channels.size() ||
      step.weights.size() != step.channels.size() * channels) {
    return false;
  }
  for (const std::uint16_t channel : step.channels) {
    if (channel >= channels) return false;
  }
  return true;
}

}  // namespace

Result<RowTransform> RowTransform::Create(const InputHypothesis& hypothesis, std::size_t channels) {
  RowTransform transform;
  transform.channels_ = channels;
  for (const InputStep& step : hypothesis.steps) {
    if (!Fits(step, channels)) {
      return Error{ErrorCode::kInvalidArgument,
                   StrCat("row transform: ", step.name(), " does not fit rows of ", channels)};
    }
    transform.steps_.push_back(step);
    transform.told_.resize(std::max(transform.told_.size(), step.channels.size()));
  }
  return transform;
}

void RowTransform::Apply(std::span<float> row) {
  CHECK(row.size() == channels_);
  for (const InputStep& step : steps_) {
    if (step.kind == StepKind::kRowGain) {
      for (std::size_t j = 0; j < channels_; ++j) row[j] = row[j] * step.weights[j] + step.base[j];
      continue;
    }
    for (std::size_t i = 0; i < step.channels.size(); ++i) {
      double told = static_cast<double>(step.base[i]);
      for (std::size_t j = 0; j < channels_; ++j) {
        told += static_cast<double>(step.weights[i * channels_ + j]) * static_cast<double>(row[j]);
      }
      told_[i] = static_cast<float>(told);
    }
    // Only now: a dead channel's own value must not reach another.
    for (std::size_t i = 0; i < step.channels.size(); ++i) row[step.channels[i]] = told_[i];
  }
}

}  // namespace tinylcm::adapt
