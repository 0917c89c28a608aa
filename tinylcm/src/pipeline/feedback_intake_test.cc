#include "tinylcm/src/pipeline/feedback_intake.h"

#include <gtest/gtest.h>

#include "tests/support/fake_file_system.h"

namespace tinylcm::pipeline {
namespace {

using Outcomes = std::vector<protocol::AdaptationReport::LabelOutcome>;

// Samples s0 to s4, taken under bundle B; s9 gave way.
class FeedbackIntake : public testing::Test {
 protected:
  void SetUp() override {
    quarantine_.emplace(adapt::Quarantine::Open(fs_, "quarantine", {}).value());
    ASSERT_TRUE(quarantine_->Begin("e-0").ok());
    Take("s9");
    ASSERT_TRUE(quarantine_->Begin("e-1").ok());
    for (const char* id : {"s0", "s1", "s2", "s3", "s4"}) Take(id);
    context_.bundle = "B";
    context_.names = {"a", "b"};
    context_.open_event = "e-1";
  }
  void Take(const std::string& id) {
    adapt::QuarantinedSample sample;
    sample.sample_id = id;
    sample.bundle = "B";
    sample.feature = {1.0f};
    ASSERT_TRUE(quarantine_->Add(sample, {}).ok());
  }
  static protocol::Feedback Of(const std::string& id,
                               std::vector<protocol::Feedback::Label> labels) {
    protocol::Feedback feedback;
    feedback.feedback_id = id;
    feedback.bundle = "B";
    feedback.labels = std::move(labels);
    return feedback;
  }
  TakenIn Tell(const protocol::Feedback& feedback) {
    auto taken = TakeIn(feedback, context_, *quarantine_);
    EXPECT_TRUE(taken.ok()) << (taken.ok() ? "" : taken.error().message);
    return *taken;
  }
  std::vector<std::string> Labelled() const {
    std::vector<std::string> ids;
    for (const auto& [id, label] : quarantine_->labels()) ids.push_back(id);
    return ids;
  }

  tests::FakeFileSystem fs_;
  std::optional<adapt::Quarantine> quarantine_;
  IntakeContext context_;
};

TEST_F(FeedbackIntake, TakesALabelInByItsName) {
  const TakenIn taken = Tell(Of("f-1", {{"s0", "b", 1.0, 1}}));
  ASSERT_EQ(taken.told.feedback.labels.size(), 1u);
  EXPECT_EQ(taken.told.feedback.labels[0], (adapt::Label{"s0", 1, "f-1", 1.0f}));
  EXPECT_TRUE(taken.told.settled.empty());
  EXPECT_TRUE(taken.remarks.empty());
  fs_.Crash();  // It was durable.
  const auto after = adapt::Quarantine::Open(fs_, "quarantine", {}).value();
  EXPECT_EQ(after.labels().at("s0").label, 1);
}

TEST_F(FeedbackIntake, AnswersForASampleThatWasNeverHere) {
  const TakenIn taken = Tell(Of("f-1", {{"nobody", "a", 1.0, 1}, {"s0", "a", 1.0, 1}}));
  EXPECT_EQ(OutcomesOf(taken.told.settled), (Outcomes{{"nobody", "unknown_sample"}}));
  EXPECT_EQ(taken.remarks, std::vector<std::string>{"sample nobody: was never here"});
  EXPECT_EQ(Labelled(), std::vector<std::string>{"s0"}) << "the other one is taken in";
}

TEST_F(FeedbackIntake, TellsASampleThatGaveWayFromOneThatWasNeverHere) {
  const TakenIn taken = Tell(Of("f-1", {{"s9", "a", 1.0, 1}}));
  EXPECT_EQ(OutcomesOf(taken.told.settled), (Outcomes{{"s9", "evicted_sample"}}));
  EXPECT_TRUE(taken.told.feedback.labels.empty());
}

TEST_F(FeedbackIntake, AnswersForALabelOutsideTheSchema) {
  const TakenIn taken = Tell(Of("f-1", {{"s0", "crab", 1.0, 1}}));
  EXPECT_EQ(OutcomesOf(taken.told.settled), (Outcomes{{"s0", "unknown_label"}}));
  EXPECT_TRUE(Labelled().empty());
  EXPECT_TRUE(quarantine_->opened().empty()) << "a misspelt class is no new one";
}

TEST_F(FeedbackIntake, OpensAClassWhereAPersonMeantTo) {
  TakenIn taken = Tell(Of("f-1", {{"s0", "crab", 1.0, 1, true}, {"s1", "crab", 1.0, 1, true}}));
  EXPECT_EQ(quarantine_->opened(), std::vector<std::string>{"crab"});
  ASSERT_EQ(taken.told.feedback.labels.size(), 2u);
  EXPECT_EQ(taken.told.feedback.labels[0].label, 2);  // Behind a and b.
  EXPECT_EQ(taken.told.feedback.labels[1].label, 2);
  // The judge says of both that they were learned; of the first it is told that it opened one.
  std::vector<adapt::LabelFate> fates = taken.told.settled;
  fates.push_back({"s0", "f-1", "learned"});
  fates.push_back({"s1", "f-1", "learned"});
  EXPECT_EQ(OutcomesOf(fates), (Outcomes{{"s0", "opened_class"}, {"s1", "applied"}}));
  // From now on it is known by its name.
  taken = Tell(Of("f-2", {{"s2", "crab", 1.0, 1}}));
  ASSERT_EQ(taken.told.feedback.labels.size(), 1u);
  EXPECT_EQ(taken.told.feedback.labels[0].label, 2);
}

TEST_F(FeedbackIntake, OpensNoClassThatHasNoNameOrWhereNothingMayChange) {
  for (const std::string& name :
       {std::string(), std::string("unknown"), std::string("two\nlines"), std::string(65, 'x')}) {
    const TakenIn taken = Tell(Of("f-1", {{"s0", name, 1.0, 1, true}}));
    EXPECT_EQ(OutcomesOf(taken.told.settled), (Outcomes{{"s0", "unknown_label"}})) << name;
  }
  context_.may_change = false;
  const TakenIn taken = Tell(Of("f-2", {{"s0", "crab", 1.0, 1, true}}));
  EXPECT_EQ(OutcomesOf(taken.told.settled), (Outcomes{{"s0", "unknown_label"}}));
  EXPECT_TRUE(quarantine_->opened().empty());
}

TEST_F(FeedbackIntake, ChangesNothingMoreTheSecondTime) {
  const protocol::Feedback feedback =
      Of("f-1", {{"s0", "a", 1.0, 1}, {"s9", "a", 1.0, 1}, {"s1", "eel", 1.0, 1, true}});
  Tell(feedback);
  const auto labels = quarantine_->labels();
  const TakenIn again = Tell(feedback);
  EXPECT_EQ(quarantine_->labels(), labels);
  EXPECT_EQ(quarantine_->opened(), std::vector<std::string>{"eel"});
  for (const adapt::LabelFate& fate : again.told.settled) EXPECT_NE(fate.fate, "replaced");
  EXPECT_EQ(OutcomesOf(FatesAgain(feedback, context_, *quarantine_)),
            (Outcomes{{"s0", "applied"}, {"s9", "evicted_sample"}, {"s1", "applied"}}));
  // Where a later feedback said something else, the first is answered for as it stands now.
  Tell(Of("f-2", {{"s0", "b", 1.0, 1}}));
  EXPECT_EQ(OutcomesOf(FatesAgain(Of("f-1", {{"s0", "a", 1.0, 1}}), context_, *quarantine_)),
            (Outcomes{{"s0", "replaced"}}));
}

TEST_F(FeedbackIntake, TakesNothingFromFeedbackForAnotherBundle) {
  protocol::Feedback feedback = Of("f-1", {{"s0", "a", 1.0, 1}, {"nobody", "a", 1.0, 1}});
  feedback.bundle = "C";
  const TakenIn taken = Tell(feedback);
  EXPECT_EQ(OutcomesOf(taken.told.settled),
            (Outcomes{{"s0", "other_bundle"}, {"nobody", "other_bundle"}}));
  EXPECT_TRUE(Labelled().empty());
}

// The bundle was exchanged after the samples were taken: their labels are as true as before.
TEST_F(FeedbackIntake, TakesALabelOfASampleThatAnEarlierBundleTook) {
  context_.bundle = "C";
  context_.names = {"b", "a"};  // Another order.
  const TakenIn taken = Tell(Of("f-1", {{"s0", "b", 1.0, 1}}));
  ASSERT_EQ(taken.told.feedback.labels.size(), 1u);
  EXPECT_EQ(taken.told.feedback.labels[0].label, 0);
}

TEST_F(FeedbackIntake, ContradictingReviewersLowerTheWeight) {
  // Three for b, one for a: (3 - 1) / 4. One each: nothing is left. One weak word: its own weight.
  const TakenIn taken = Tell(Of("f-1", {{"s0", "b", 3.0, 3},
                                        {"s0", "a", 1.0, 1},
                                        {"s1", "a", 1.0, 1},
                                        {"s1", "b", 1.0, 1},
                                        {"s2", "a", 0.4, 2},
                                        {"s3", "a", 5.0, 5}}));
  ASSERT_EQ(taken.told.feedback.labels.size(), 3u);
  EXPECT_EQ(taken.told.feedback.labels[0], (adapt::Label{"s0", 1, "f-1", 0.5f}));
  EXPECT_EQ(taken.told.feedback.labels[1], (adapt::Label{"s2", 0, "f-1", 0.4f}));
  EXPECT_EQ(taken.told.feedback.labels[2], (adapt::Label{"s3", 0, "f-1", 1.0f}));
  EXPECT_EQ(OutcomesOf(taken.told.settled), (Outcomes{{"s1", "unused"}}));
  EXPECT_EQ(taken.remarks,
            std::vector<std::string>{"sample s1: its reviewers contradict each other"});
}

TEST_F(FeedbackIntake, ASecondOpinionThatUndoesTheFirstTakesItBack) {
  Tell(Of("f-1", {{"s0", "a", 1.0, 1}}));
  const TakenIn taken = Tell(Of("f-2", {{"s0", "a", 1.0, 1}, {"s0", "b", 1.0, 1}}));
  EXPECT_TRUE(Labelled().empty());
  EXPECT_EQ(taken.told.feedback.retract, std::vector<std::string>{"s0"});
}

TEST_F(FeedbackIntake, ReplacesALabelByALaterOne) {
  Tell(Of("f-1", {{"s0", "a", 1.0, 1}}));
  const TakenIn taken = Tell(Of("f-2", {{"s0", "b", 1.0, 1}}));
  EXPECT_EQ(taken.told.settled, (std::vector<adapt::LabelFate>{{"s0", "f-1", "replaced"}}));
  EXPECT_EQ(quarantine_->labels().at("s0"), (adapt::Label{"s0", 1, "f-2", 1.0f}));
}

TEST_F(FeedbackIntake, RetractsWhatWasLearnedEvenWhereTheSampleIsGone) {
  Tell(Of("f-1", {{"s0", "a", 1.0, 1}}));
  adapt::Adaptation served;
  served.labels = {{"s0", 0, "f-1"}, {"s9", 1, "f-0"}};  // s9 taught it before it gave way.
  context_.served = &served;
  protocol::Feedback feedback = Of("f-2", {});
  feedback.retract = {"s0", "s9", "s1", "nobody"};
  const TakenIn taken = Tell(feedback);
  EXPECT_EQ(taken.told.feedback.retract, (std::vector<std::string>{"s0", "s9", "s1"}));
  EXPECT_EQ(OutcomesOf(taken.told.settled), (Outcomes{{"s0", "retracted"},
                                                      {"s9", "retracted"},
                                                      {"s1", "retracted"},
                                                      {"nobody", "unknown_sample"}}));
  EXPECT_TRUE(Labelled().empty());
}

TEST_F(FeedbackIntake, RetractsAgainWhatATryThatWasCutShortHadTakenOut) {
  Tell(Of("f-1", {{"s0", "a", 1.0, 1}}));
  protocol::Feedback feedback = Of("f-2", {{"s1", "b", 1.0, 1}});
  feedback.retract = {"s0"};
  int appends = 0;
  fs_.SetFault([&](tests::FakeFileSystem::Operation operation,
                   const std::string& path) -> std::optional<base::Error> {
    if (operation != tests::FakeFileSystem::Operation::kAppend || ++appends == 1) return {};
    return base::Error{base::ErrorCode::kExhausted, path + ": no space left on device"};
  });
  ASSERT_FALSE(TakeIn(feedback, context_, *quarantine_).ok()) << "the label found no room";
  ASSERT_TRUE(Labelled().empty()) << "but the other one is gone";
  fs_.SetFault(nullptr);
  const TakenIn taken = Tell(feedback);
  EXPECT_EQ(taken.told.feedback.retract, std::vector<std::string>{"s0"})
      << "what it taught must go, too";
  EXPECT_EQ(OutcomesOf(taken.told.settled), (Outcomes{{"s0", "retracted"}}));
  EXPECT_EQ(Labelled(), std::vector<std::string>{"s1"});
}

TEST_F(FeedbackIntake, HearsAVerdictOnTheOpenEventOnly) {
  protocol::Feedback feedback = Of("f-1", {});
  feedback.events = {{"e-0", protocol::EventVerdict::kFalseAlarm}};
  TakenIn taken = Tell(feedback);
  EXPECT_FALSE(taken.told.feedback.verdict.has_value());
  EXPECT_EQ(taken.remarks.size(), 1u);
  feedback.events = {{"e-1", protocol::EventVerdict::kExpected}};
  taken = Tell(feedback);
  EXPECT_EQ(taken.told.feedback.verdict, adapt::EventVerdict::kExpected);
}

TEST_F(FeedbackIntake, IsWorthARetryWhenTheDiskIsFull) {
  fs_.SetCapacity(fs_.Stat("quarantine/samples.tlq").value().bytes + 5);
  EXPECT_FALSE(TakeIn(Of("f-1", {{"s0", "a", 1.0, 1}}), context_, *quarantine_).ok());
  EXPECT_FALSE(TakeIn(Of("f-1", {{"s0", "crab", 1.0, 1, true}}), context_, *quarantine_).ok());
  fs_.SetCapacity(1u << 20);
  EXPECT_EQ(Tell(Of("f-1", {{"s0", "a", 1.0, 1}})).told.feedback.labels.size(), 1u);
}

}  // namespace
}  // namespace tinylcm::pipeline
