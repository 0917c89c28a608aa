#include "tinylcm/adapt/row_transform.h"

#include <gtest/gtest.h>

namespace tinylcm::adapt {
namespace {

using Row = std::vector<float>;

TEST(RowTransform, TellsADeadChannelFromTheOthers) {
  // Channel 1 = 0.5 + 2 * channel 0 - channel 2; channel 3 is told by nobody: its usual value.
  const InputStep step{.kind = StepKind::kRepair,
                       .channels = {1, 3},
                       .base = {0.5f, 7.0f},
                       .weights = {2, 0, -1, 0, 0, 0, 0, 0}};
  Row row = {3, 99, 4, 99};
  RowTransform::Create(InputHypothesis::Of(step), 4).value().Apply(row);
  EXPECT_EQ(row, (Row{3, 2.5f, 4, 7}));
}

TEST(RowTransform, AppliesGainsThenRepairs) {
  const InputStep gain{.kind = StepKind::kRowGain, .base = {1, 0}, .weights = {2, 1}};
  const InputStep repair{
      .kind = StepKind::kRepair, .channels = {1}, .base = {0}, .weights = {1, 0}};
  Row row = {3, 99};
  RowTransform::Create({.steps = {gain, repair}}, 2).value().Apply(row);
  EXPECT_EQ(row, (Row{7, 7}));  // 3 * 2 + 1, and the repaired one is told by the corrected.
}

TEST(RowTransform, RefusesWhatDoesNotFit) {
  const auto is_made = [](const InputStep& step) {
    return RowTransform::Create(InputHypothesis::Of(step), 2).ok();
  };
  EXPECT_TRUE(is_made({.kind = StepKind::kRowGain, .base = {1, 0}, .weights = {2, 1}}));
  EXPECT_FALSE(is_made({.kind = StepKind::kRowGain, .base = {1}, .weights = {2}}));
  EXPECT_FALSE(
      is_made({.kind = StepKind::kRepair, .channels = {2}, .base = {0}, .weights = {1, 0}}));
  EXPECT_FALSE(is_made({.kind = StepKind::kRepair, .channels = {1}, .base = {0}, .weights = {1}}));
  EXPECT_FALSE(is_made({.kind = StepKind::kRotate, .angle_degrees = 10}));
}

}  // namespace
}  // namespace tinylcm::adapt
