#include "tinylcm/adapt/judge.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "tinylcm/adapt/cluster.h"

namespace tinylcm::adapt {
namespace {

using classify::Anchors;
using classify::KnnClassifier;

constexpr std::size_t kDims = 8;
constexpr std::uint16_t kClasses = 4;

// Class c sits at 3 along axis c; the other axes are noise. A stream may be aged (half the channels
// gain .3 and bias 4) or re-labelled (the world now calls class 2 what it called 3).
class JudgeTest : public testing::TestWithParam<std::uint64_t> {
 protected:
  JudgeTest() : random_(GetParam()) {
    Anchors anchors;
    anchors.dims = kDims;
    for (int i = 0; i < 30 * kClasses; ++i) {
      const auto label = static_cast<std::uint16_t>(i % kClasses);
      anchors.Add(Draw(label), label);
    }
    knn_.emplace(KnnClassifier::Create({.classes = kClasses}, anchors).value());
  }

  std::vector<float> Draw(std::uint16_t label) {
    std::vector<float> row(kDims);
    for (std::size_t j = 0; j < kDims; ++j) {
      row[j] = static_cast<float>(0.7 * random_.Normal() + (j == label ? 3.0 : 0.0));
    }
    return row;
  }

  static void Age(std::vector<float>& row) {
    for (std::size_t j = 0; j < kDims; j += 2) row[j] = row[j] * 0.3f + 4.0f;
  }

  void Stream(bool aged, int rows = 240) {
    for (int i = 0; i < rows; ++i) {
      const auto label = static_cast<std::uint16_t>(random_.Below(kClasses));
      std::vector<float> row = Draw(label);
      if (aged) Age(row);
      features_.insert(features_.end(), row.begin(), row.end());
      truth_.push_back(label);
    }
  }

  std::vector<LabelledRow> Label(std::uint32_t count) {
    std::vector<LabelledRow> labelled;
    for (const std::uint32_t row :
         Cluster(features_, kDims, {.clusters = count, .seed = GetParam()}).medoids) {
      labelled.push_back({row, truth_[row]});
    }
    return labelled;
  }

  double Accuracy(const Challenger& challenger, bool aged) {
    CHECK(knn_->SetMemory(challenger.memory).ok());
    int right = 0;
    for (int i = 0; i < 400; ++i) {
      const auto label = static_cast<std::uint16_t>(i % kClasses);
      std::vector<float> row = Draw(label);
      if (aged) Age(row);
      challenger.transform.Apply(row);
      right += knn_->Classify(row).nearest == label ? 1 : 0;
    }
    CHECK(knn_->SetMemory({}).ok());
    return right / 400.0;
  }

  base::Random random_;
  std::optional<KnnClassifier> knn_;
  std::vector<float> features_;
  std::vector<std::uint16_t> truth_;
};

TEST_P(JudgeTest, BringsAnAgedArrayBack) {
  SCOPED_TRACE(testing::Message() << "seed " << GetParam());
  const double before = Accuracy({}, false);
  Stream(true);
  const Judgement judgement = Judge(*knn_, features_, Label(24), {.seed = GetParam()}).value();
  EXPECT_GE(before, 0.9);
  EXPECT_LT(Accuracy({}, true), before - 0.2);
  EXPECT_GE(Accuracy(judgement.challenger, true), 0.93 * before)
      << judgement.challenger.kind.name();
}

TEST_P(JudgeTest, DoesNoHarmToAQuietStream) {
  SCOPED_TRACE(testing::Message() << "seed " << GetParam());
  Stream(false);
  const Judgement judgement = Judge(*knn_, features_, Label(24), {.seed = GetParam()}).value();
  EXPECT_GE(Accuracy(judgement.challenger, false), Accuracy({}, false) - 0.03)
      << judgement.challenger.kind.name();
}

TEST_P(JudgeTest, LearnsByHeartWhatNoAlignmentCanMend) {
  SCOPED_TRACE(testing::Message() << "seed " << GetParam());
  Stream(false);
  // Every 3 is called 2 from now on: no shift of channels explains that.
  for (std::uint16_t& label : truth_) label = label == 3 ? std::uint16_t{2} : label;
  const Judgement judgement = Judge(*knn_, features_, Label(24), {.seed = GetParam()}).value();
  EXPECT_NE(judgement.challenger.kind.memory, Memory::kNone) << judgement.challenger.kind.name();
}

TEST_P(JudgeTest, ChangesNothingOnTooFewLabels) {
  Stream(true);
  const Judgement judgement = Judge(*knn_, features_, Label(5), {.seed = GetParam()}).value();
  EXPECT_TRUE(judgement.challenger.kind.is_none());
}

TEST_P(JudgeTest, NeverServesWhatLosesALabel) {
  Stream(true);
  const Judgement judgement = Judge(*knn_, features_, Label(24), {.seed = GetParam()}).value();
  EXPECT_GE(judgement.scores[judgement.winner].correct, judgement.scores[0].correct);
  for (const ChallengerScore& score : judgement.scores) {
    if (score.correct < judgement.scores[0].correct) {
      EXPECT_FALSE(score.is_eligible);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Seeds, JudgeTest, testing::Range<std::uint64_t>(1, 6));

TEST(Judge, LeavesTheClassifiersMemoryAsItFoundIt) {
  Anchors anchors;
  anchors.dims = 1;
  for (int i = 0; i < 10; ++i) {
    anchors.Add(std::vector<float>{static_cast<float>(i % 2)}, static_cast<std::uint16_t>(i % 2));
  }
  KnnClassifier knn =
      KnnClassifier::Create({.classes = 2, .metric = classify::Metric::kEuclidean}, anchors)
          .value();
  Anchors memory;
  memory.Add(std::vector<float>{7.0f}, 1);
  ASSERT_TRUE(knn.SetMemory(memory).ok());
  const std::vector<float> features = {0.1f, 0.9f, 0.2f};
  const std::vector<LabelledRow> labelled = {{0, 0}, {1, 1}};
  ASSERT_TRUE(Judge(knn, features, labelled, {}).ok());
  EXPECT_EQ(knn.memory(), memory);
}

TEST(Judge, RefusesWhatDoesNotFit) {
  Anchors anchors;
  anchors.dims = 2;
  anchors.Add(std::vector<float>{0.0f, 1.0f}, 0);
  anchors.Add(std::vector<float>{1.0f, 0.0f}, 1);
  KnnClassifier knn = KnnClassifier::Create({.classes = 2}, anchors).value();
  const std::vector<float> features = {0.0f, 1.0f};
  const std::vector<LabelledRow> row_out_of_range = {{1, 0}};
  const std::vector<LabelledRow> label_out_of_range = {{0, 2}};
  EXPECT_EQ(Judge(knn, features, row_out_of_range, {}).error().code,
            base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(Judge(knn, features, label_out_of_range, {}).error().code,
            base::ErrorCode::kInvalidArgument);
  EXPECT_EQ(Judge(knn, std::span(features).first(1), {}, {}).error().code,
            base::ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tinylcm::adapt
