#include "tinylcm/adapt/judge.h"

#include <gtest/gtest.h>

#include <algorithm>

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

// The canary, held out of what the bundle was fitted on, guards against forgetting. It says nothing
// about the stream of today: here it cannot tell the memory from none at all.
TEST_P(JudgeTest, RefusesAMemoryThatTheCanaryWouldLetPass) {
  SCOPED_TRACE(testing::Message() << "seed " << GetParam());
  // Something shakes two channels that no class is told by. Clusters follow it, not the classes, so
  // what is propagated from their middles is wrong; and it lies far from any canary.
  const auto shaken = [&](std::uint16_t label) {
    std::vector<float> row = Draw(label);
    row[6] += random_.Uniform() < 0.5 ? 8.0f : -8.0f;
    row[7] += random_.Uniform() < 0.5 ? 8.0f : -8.0f;
    return row;
  };
  const auto right_of_400 = [&](const Challenger& challenger, bool is_live) {
    CHECK(knn_->SetMemory(challenger.memory).ok());
    std::vector<float> share(kClasses);
    random_ = base::Random(GetParam() + 100);  // The same rows for whoever is asked.
    int right = 0;
    for (int i = 0; i < 400; ++i) {
      const auto label = static_cast<std::uint16_t>(i % kClasses);
      std::vector<float> row = is_live ? shaken(label) : Draw(label);
      if (is_live) challenger.transform.Apply(row);
      classify::Prediction said = knn_->Classify(row, share);
      if (challenger.head) AnswerByHead(*challenger.head, *knn_, row, share, said);
      right += said.nearest == label ? 1 : 0;
    }
    CHECK(knn_->SetMemory({}).ok());
    return right;
  };
  for (int i = 0; i < 240; ++i) {
    const auto label = static_cast<std::uint16_t>(random_.Below(kClasses));
    const std::vector<float> row = shaken(label);
    features_.insert(features_.end(), row.begin(), row.end());
    truth_.push_back(label);
  }
  // A label for the middle of each of the four clusters that the shaking makes, told to sixty.
  JudgeRule rule{.seed = GetParam()};
  rule.challenger.propagated_max = 60;
  const Challenger memory =
      MakeChallenger({Alignment::kNone, Memory::kPropagated}, features_,
                     ClassMoments::Of(knn_->anchors(), kClasses), Label(4), rule.challenger);
  const int live_before = right_of_400({}, true);
  EXPECT_LT(right_of_400(memory, true), live_before - 40);
  EXPECT_GE(right_of_400(memory, false), right_of_400({}, false) - 4);

  const Judgement judgement = Judge(*knn_, features_, Label(24), rule).value();
  EXPECT_NE(judgement.challenger.kind, memory.kind);
  EXPECT_GE(right_of_400(judgement.challenger, true), live_before - 8)
      << judgement.challenger.kind.name();
}

TEST_P(JudgeTest, DoesNotChooseWhatItsTrialWouldUndoForForgetting) {
  SCOPED_TRACE(testing::Message() << "seed " << GetParam());
  Stream(false);
  // Every 3 is called 2 from now on.
  for (std::uint16_t& label : truth_) label = label == 3 ? std::uint16_t{2} : label;
  const std::vector<LabelledRow> labelled = Label(24);
  const Judgement unasked = Judge(*knn_, features_, labelled, {.seed = GetParam()}).value();
  ASSERT_NE(unasked.challenger.kind.memory, Memory::kNone);

  // The canary is of the old world: 80 that are right with that memory, too, and 20 that it
  // forgets.
  Anchors canary, called_wrongly;
  canary.dims = called_wrongly.dims = kDims;
  int kept = 0;
  int forgotten = 0;
  for (int i = 0; i < 20000 && (kept < 80 || forgotten < 20); ++i) {
    const auto label = static_cast<std::uint16_t>(i % kClasses);
    Anchors one;
    one.dims = kDims;
    one.Add(Draw(label), label);
    const auto is_right = [&](const Challenger& with) {
      return RightOfCanary(*knn_, one, with.memory, 0, with.head).value() == 1;
    };
    if (!is_right({})) continue;
    int& count = is_right(unasked.challenger) ? kept : forgotten;
    if (count == (&count == &kept ? 80 : 20)) continue;
    ++count;
    canary.Add(one.row(0), label);
    called_wrongly.Add(one.row(0), static_cast<std::uint16_t>((label + 1) % kClasses));
  }
  ASSERT_EQ(canary.size(), 100u);

  const Judgement judgement =
      Judge(*knn_, features_, labelled, {.seed = GetParam()}, nullptr, {.canary = &canary}).value();
  const ChallengerScore& refused = judgement.scores[unasked.winner];
  EXPECT_FALSE(refused.is_eligible);
  EXPECT_EQ(refused.why_not, "it forgets what was known: canary accuracy 0.8, 1 before");
  // The next best of those that are left.
  EXPECT_NE(judgement.winner, unasked.winner);
  for (const ChallengerScore& score : judgement.scores) {
    if (!score.is_eligible) continue;
    EXPECT_LE(score.expected, judgement.scores[judgement.winner].expected + 0.03)
        << score.kind.name();
  }

  // What serves knew all of a canary of which the bundle alone knows little: that counts, too.
  const KnownBefore known{.canary = &called_wrongly, .right = 1.0};
  const Judgement strict =
      Judge(*knn_, features_, labelled, {.seed = GetParam()}, nullptr, known).value();
  EXPECT_EQ(strict.challenger.kind.memory, Memory::kNone) << strict.challenger.kind.name();
}

TEST_P(JudgeTest, DoesNotTrustLabelsOfWhichThreeInTenAreWrong) {
  SCOPED_TRACE(testing::Message() << "seed " << GetParam());
  Stream(false);
  std::vector<LabelledRow> labelled = Label(24);
  EXPECT_TRUE(Judge(*knn_, features_, labelled, {.seed = GetParam()})->is_trusted);
  std::vector<std::uint32_t> wrong;
  while (wrong.size() < 7) {
    const auto i = static_cast<std::uint32_t>(random_.Below(labelled.size()));
    if (std::ranges::find(wrong, i) != wrong.end()) continue;
    wrong.push_back(i);
    labelled[i].label = static_cast<std::uint16_t>((labelled[i].label + 1 + random_.Below(3)) % 4);
  }
  const Judgement judgement = Judge(*knn_, features_, labelled, {.seed = GetParam()}).value();
  EXPECT_FALSE(judgement.is_trusted) << judgement.poison_odds;
  EXPECT_TRUE(judgement.challenger.kind.is_none());
  // Most of those it names are wrong indeed.
  int named = 0;
  for (const std::uint32_t i : judgement.refused) {
    named += std::ranges::find(wrong, i) != wrong.end() ? 1 : 0;
  }
  EXPECT_GE(named, 4);
  EXPECT_GE(2 * named, static_cast<int>(judgement.refused.size()));
}

TEST_P(JudgeTest, OpensAClassThatPeopleNamedAndKeepsTheOthers) {
  SCOPED_TRACE(testing::Message() << "seed " << GetParam());
  Stream(false);
  // One in five is at 3 along an axis that no class of old uses.
  for (std::size_t i = 0; i < truth_.size(); i += 5) {
    const std::vector<float> row = Draw(kClasses);
    std::ranges::copy(row, features_.begin() + static_cast<std::ptrdiff_t>(i * kDims));
    truth_[i] = kClasses;
  }
  const double before = Accuracy({}, false);
  JudgeRule rule{.seed = GetParam()};
  rule.opened = 1;
  const Judgement judgement = Judge(*knn_, features_, Label(24), rule).value();
  ASSERT_NE(judgement.challenger.kind.memory, Memory::kNone);

  ASSERT_TRUE(knn_->SetMemory(judgement.challenger.memory, 1).ok());
  std::vector<float> share(kClasses + 1);
  int found = 0;
  int kept = 0;
  for (int i = 0; i < 400; ++i) {
    const bool is_new = i % 2 == 0;
    const auto label = static_cast<std::uint16_t>(is_new ? kClasses : i / 2 % kClasses);
    std::vector<float> row = Draw(label);
    judgement.challenger.transform.Apply(row);
    classify::Prediction said = knn_->Classify(row, share);
    if (judgement.challenger.head) {
      AnswerByHead(*judgement.challenger.head, *knn_, row, share, said);
    }
    (is_new ? found : kept) += said.nearest == label ? 1 : 0;
  }
  EXPECT_GE(found, 176) << "of 200, by " << judgement.challenger.kind.name();
  EXPECT_GE(kept / 200.0, 0.95 * before);
}

TEST_P(JudgeTest, TakesUpWhatWasLearnedAtAnEarlierMeeting) {
  SCOPED_TRACE(testing::Message() << "seed " << GetParam());
  Stream(true);
  // The same ageing, met before and learned from 100 labels.
  Challenger met = MakeChallenger({Alignment::kMovedChannels, Memory::kPropagated}, features_,
                                  ClassMoments::Of(knn_->anchors(), kClasses), Label(100), {});
  met.kind = {Alignment::kNone, Memory::kConcept};
  features_.clear();
  truth_.clear();
  Stream(true, 60);
  const Judgement judgement = Judge(*knn_, features_, Label(8), {.seed = GetParam()}, &met).value();
  ASSERT_EQ(judgement.scores.back().kind.name(), "concept");
  EXPECT_TRUE(judgement.scores.back().is_eligible);
  EXPECT_GE(judgement.scores.back().correct, 7) << "of 8";
  EXPECT_GE(Accuracy(judgement.challenger, true), 0.85) << judgement.challenger.kind.name();
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
  const std::vector<LabelledRow> weightless = {{0, 0, 0.0f}};
  EXPECT_EQ(Judge(knn, features, weightless, {}).error().code, base::ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace tinylcm::adapt
