#include "tinylcm/src/pipeline/judging.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <optional>

#include "base/text.h"
#include "tests/support/fake_file_system.h"
#include "tinylcm/src/pipeline/small_array_test.h"

namespace tinylcm::pipeline {
namespace {

// A small array whose events are collected by hand.
class JudgingTest : public testing::Test {
 protected:
  JudgingTest() {
    base_.bundle = bundle_->bundle;
    bench_ = Serving::Create(bundle_, nullptr, base_, {}).value();
  }

  // An event of 120 rows of which the first 24 are labelled; crossed cables or none.
  void Event(const std::string& id, bool is_crossed) {
    ASSERT_TRUE(quarantine_.Begin(id).ok());
    for (int i = 0; i < 120; ++i) {
      const auto label = static_cast<std::uint16_t>(i % kClasses);
      adapt::QuarantinedSample sample;
      sample.sample_id = base::StrCat(id, "-", i);
      sample.raw = is_crossed ? MakeCrossedRow(random_, label) : MakeRow(random_, label, false);
      ASSERT_TRUE(quarantine_.Add(sample, {}).ok());
      if (i >= 24) continue;
      adapt::Label told;
      told.sample_id = sample.sample_id;
      told.label = label;
      told.feedback_id = "f-" + id;
      ASSERT_TRUE(quarantine_.SetLabel(told).ok());
    }
  }

  Judged Judge(const std::string& id, const adapt::Adaptation& served) {
    return JudgeChallengers(*bench_, quarantine_, {}, id, 3, served).value();
  }

  std::shared_ptr<const model::ModelBundle> bundle_ = MakeBundle("1.0.0", 11);
  adapt::Adaptation base_;
  std::unique_ptr<Serving> bench_;
  tests::FakeFileSystem fs_;
  base::Random random_{7};
  adapt::Quarantine quarantine_ = adapt::Quarantine::Open(fs_, "q", {}).value();
};

TEST_F(JudgingTest, WhatEarlierEventsTaughtIsNotJudgedInThisOne) {
  Event("e-1", true);
  const Judged first = Judge("e-1", base_);
  ASSERT_FALSE(first.composed.challenger.is_none());
  Event("e-2", false);
  ASSERT_EQ(quarantine_.current_begin(), 24u) << "the labelled ones of e-1 are kept";

  const Embedded current =
      EmbedQuarantine(*bench_, quarantine_, adapt::InputHypothesis{}, Events::kCurrent).value();
  EXPECT_EQ(current.ids.size(), 120u);
  EXPECT_EQ(current.labelled.size(), 24u);
  EXPECT_TRUE(std::ranges::all_of(
      current.ids, [](const std::string& sample) { return sample.starts_with("e-2-"); }));
  const Embedded all =
      EmbedQuarantine(*bench_, quarantine_, adapt::InputHypothesis{}, Events::kAll).value();
  EXPECT_EQ(all.ids.size(), 144u);
  EXPECT_EQ(all.labelled.size(), 48u);

  // The cables are as they were: the bundle alone is right, and is what e-2 chooses.
  const Judged second = Judge("e-2", first.composed);
  EXPECT_EQ(second.judgement.labels, 24);
  EXPECT_GE(second.figures.correct_before, 22);
  EXPECT_TRUE(second.composed.challenger.is_none()) << second.composed.name();
  // What e-1 taught is judged as it is: none of e-2's labels taught it.
  EXPECT_EQ(second.judgement.scores.back().kind.memory, adapt::Memory::kConcept);
}

TEST_F(JudgingTest, WhatServesIsKeptWhereTheSameComesAgain) {
  Event("e-1", true);
  const Judged first = Judge("e-1", base_);
  Event("e-2", true);
  const Judged second = Judge("e-2", first.composed);
  const adapt::ChallengerScore& met = second.judgement.scores.back();
  ASSERT_EQ(met.kind.memory, adapt::Memory::kConcept);
  EXPECT_TRUE(met.is_eligible) << met.why_not;
  EXPECT_GE(met.correct, second.figures.correct_before + 3);
}

TEST_F(JudgingTest, SaysOfEveryChallengerThatMayNotServeWhyNot) {
  Event("e-1", true);
  const Judged judged = Judge("e-1", base_);
  ASSERT_EQ(judged.candidates.size(), judged.judgement.scores.size());
  for (std::size_t i = 0; i < judged.candidates.size(); ++i) {
    const adapt::ChallengerScore& score = judged.judgement.scores[i];
    EXPECT_EQ(score.is_eligible, score.why_not.empty());
    if (!score.is_eligible) {
      EXPECT_TRUE(judged.candidates[i].reason.ends_with("not eligible: " + score.why_not));
    }
  }
}

}  // namespace
}  // namespace tinylcm::pipeline
