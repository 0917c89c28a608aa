#include "tinylcm/adapt/adapter.h"

#include <gtest/gtest.h>

namespace tinylcm::adapt {
namespace {

using Kinds = std::vector<ActionKind>;
using enum ActionKind;

class AdapterTest : public testing::Test {
 protected:
  void Start(Adapter::Options options) {
    options.quarantine_samples = 300;
    options.search_samples = 100;
    options.probation_samples = 10;
    adapter_.emplace(options, "bundle-1");
  }

  Kinds Note(Actions actions) {
    Kinds kinds;
    for (const Action& action : actions) kinds.push_back(action.kind);
    last_ = std::move(actions);
    return kinds;
  }

  void Collect(std::uint32_t from, std::uint32_t to) {
    for (std::uint32_t count = from; count <= to; ++count) {
      const Kinds kinds = Note(adapter_->OnQuarantined(count, 1000 + count));
      all_.insert(all_.end(), kinds.begin(), kinds.end());
    }
  }

  static InputSearchResult Found(std::optional<StepKind> kind, bool adopted) {
    InputSearchResult result;
    result.best = kind ? 3 : 0;
    result.is_adopted = adopted;
    result.ratio = adopted ? 0.3 : 0.97;
    if (adopted) result.hypothesis = InputHypothesis::Of({.kind = *kind});
    return result;
  }

  static Judgement Judged(ChallengerKind kind, int correct, int labels) {
    Judgement judgement;
    ChallengerScore score;
    score.kind = kind;
    score.correct = correct;
    judgement.scores = {score};
    judgement.labels = labels;
    return judgement;
  }

  Adaptation Composed(ChallengerKind kind, std::optional<StepKind> input = std::nullopt) {
    Adaptation adaptation;
    adaptation.bundle = "bundle-1";
    adaptation.event_id = "e-1";
    if (input) adaptation.hypothesis = InputHypothesis::Of({.kind = *input});
    adaptation.challenger = kind;
    if (kind.alignment != Alignment::kNone) adaptation.transform = {{2.0f}, {1.0f}};
    if (kind.memory != Memory::kNone) {
      adaptation.memory.dims = 1;
      adaptation.memory.Add(std::vector<float>{1.0f}, 0);
      adaptation.entries = {{"s1", "s1", "f-1", LabelOrigin::kPerson, 0}};
    }
    return adaptation;
  }

  Actions Probation(float champion, float challenger, float sure_before, float sure_after) {
    Actions actions;
    for (int i = 0; i < 10; ++i) {
      actions = adapter_->OnProbation({.champion_distance = champion,
                                       .champion_confidence = sure_before,
                                       .challenger_distance = challenger,
                                       .challenger_confidence = sure_after});
    }
    return actions;
  }

  Feedback TwoLabels() { return {"f-1", {{"s1", 3, "f-1"}, {"s2", 4, "f-1"}}, {}, {}}; }

  std::optional<Adapter> adapter_;
  Actions last_;
  Kinds all_;
  const std::vector<std::string> known_ = {"s1", "s2"};
  static constexpr ChallengerKind kAligned{Alignment::kMeanVariance, Memory::kNone};
  static constexpr ChallengerKind kRemembered{Alignment::kNone, Memory::kLabelled};
};

TEST_F(AdapterTest, TakesARowStreamFromAlarmToCommit) {
  Start({.mode = Mode::kAutonomous});
  EXPECT_EQ(Note(adapter_->OnDrift("e-1", 1000)), Kinds{kBeginQuarantine});
  EXPECT_EQ(adapter_->state(), AdapterState::kSuspect);
  Collect(1, 300);
  EXPECT_EQ(all_, Kinds{kAskForLabels});
  EXPECT_EQ(last_.back().labels, 24u);
  EXPECT_EQ(adapter_->state(), AdapterState::kAdapting);

  EXPECT_EQ(Note(adapter_->OnFeedback(TwoLabels(), {}, known_)), Kinds{kJudge});
  EXPECT_EQ(Note(adapter_->OnJudged(Judged(kAligned, 2, 2), Composed(kAligned))),
            (Kinds{kServe, kReport}));
  EXPECT_EQ(adapter_->state(), AdapterState::kProbation);
  EXPECT_EQ(last_[1].feedback_id, "f-1");
  EXPECT_EQ(last_[1].fates,
            (std::vector<LabelFate>{{"s1", "f-1", "judged"}, {"s2", "f-1", "judged"}}));

  EXPECT_EQ(Note(Probation(0.5f, 0.2f, 0.4f, 0.9f)), (Kinds{kCommit, kRebaseline, kReport}));
  EXPECT_EQ(adapter_->state(), AdapterState::kStable);
  EXPECT_EQ(adapter_->served(), Composed(kAligned));
}

TEST_F(AdapterTest, ServesACorrectedInputBeforeLabelsWhenAutonomous) {
  Start({.mode = Mode::kAutonomous, .has_pictures = true});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 100);
  EXPECT_EQ(all_, Kinds{kSearchInput});
  EXPECT_EQ(Note(adapter_->OnInputSearched(Found(StepKind::kFlatField, true))),
            (Kinds{kServe, kReport}));
  EXPECT_EQ(adapter_->state(), AdapterState::kProbation);
  EXPECT_EQ(Note(Probation(0.5f, 0.2f, 0.4f, 0.9f)), (Kinds{kCommit, kRebaseline, kReport}));
  // Still collecting for the person's labels, and deaf to another alarm until that is done.
  EXPECT_EQ(adapter_->state(), AdapterState::kAdapting);
  EXPECT_TRUE(adapter_->OnDrift("e-2", 1150).empty());
  Collect(101, 300);
  EXPECT_EQ(all_, (Kinds{kSearchInput, kAskForLabels}));
  EXPECT_EQ(adapter_->state(), AdapterState::kStable);
  EXPECT_EQ(adapter_->saved().suppressed, 1u);

  // Labels confirm it: searched again with them, judged in the corrected input, nothing changes.
  EXPECT_EQ(Note(adapter_->OnFeedback(TwoLabels(), {}, known_)), Kinds{kSearchInput});
  EXPECT_EQ(Note(adapter_->OnInputSearched(Found(StepKind::kFlatField, true))), Kinds{kJudge});
  EXPECT_EQ(last_[0].adaptation.hypothesis.name(), "flat_field");
  EXPECT_EQ(Note(adapter_->OnJudged(Judged({}, 2, 2), Composed({}, StepKind::kFlatField))),
            (Kinds{kCommit, kRebaseline, kReport}));
  EXPECT_EQ(adapter_->state(), AdapterState::kStable);
}

TEST_F(AdapterTest, WaitsForAPersonWhenServerAssisted) {
  Start({.mode = Mode::kServerAssisted, .has_pictures = true});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  EXPECT_EQ(all_, (Kinds{kSearchInput, kAskForLabels}));
  EXPECT_TRUE(adapter_->OnInputSearched(Found(StepKind::kFlatField, true)).empty());
  EXPECT_TRUE(adapter_->served().is_none());
  EXPECT_EQ(adapter_->state(), AdapterState::kAdapting);

  adapter_->OnFeedback(TwoLabels(), {}, known_);
  adapter_->OnInputSearched(Found(StepKind::kFlatField, true));
  EXPECT_EQ(Note(adapter_->OnJudged(Judged({}, 2, 2), Composed({}, StepKind::kFlatField))),
            (Kinds{kServe, kReport}));
}

TEST_F(AdapterTest, LabelsOnTheirWayWhenTheModeChangesAreAnsweredForAndChangeNothing) {
  Start({.mode = Mode::kAutonomous, .has_pictures = true});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  EXPECT_EQ(Note(adapter_->OnFeedback(TwoLabels(), {}, known_)), Kinds{kSearchInput});
  adapter_->SetMode(Mode::kMonitoringOnly);
  EXPECT_EQ(Note(adapter_->OnInputSearched(Found(StepKind::kFlatField, true))), Kinds{kJudge});
  EXPECT_EQ(Note(adapter_->OnJudged(Judged(kAligned, 2, 2), Composed(kAligned))), Kinds{kReport});
  EXPECT_EQ(last_[0].fates, (std::vector<LabelFate>{{"s1", "f-1", "monitoring_only"},
                                                    {"s2", "f-1", "monitoring_only"}}));
  EXPECT_EQ(adapter_->state(), AdapterState::kStable);
  EXPECT_TRUE(adapter_->served().is_none());
}

TEST_F(AdapterTest, ChangesNothingWhenMonitoringOnly) {
  Start({.mode = Mode::kMonitoringOnly, .has_pictures = true});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  EXPECT_EQ(all_, (Kinds{kAskForLabels, kRebaseline}));
  EXPECT_EQ(adapter_->state(), AdapterState::kStable);
  EXPECT_EQ(Note(adapter_->OnFeedback(TwoLabels(), {}, known_)), Kinds{kReport});
  EXPECT_EQ(last_[0].fates[0].fate, "monitoring_only");
  EXPECT_TRUE(adapter_->served().is_none());
}

TEST_F(AdapterTest, RollsBackToTheByteWhenProbationIsWorse) {
  Start({});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  const base::Bytes before = Serialise(adapter_->served());
  adapter_->OnFeedback(TwoLabels(), {}, known_);
  adapter_->OnJudged(Judged(kAligned, 2, 2), Composed(kAligned));
  EXPECT_EQ(Note(Probation(0.2f, 0.5f, 0.9f, 0.4f)), (Kinds{kRollBack, kRebaseline, kReport}));
  EXPECT_EQ(adapter_->state(), AdapterState::kRolledBack);
  EXPECT_EQ(Serialise(last_[0].adaptation), before);
  EXPECT_EQ(Serialise(adapter_->served()), before);
  // Labels lead back.
  EXPECT_EQ(Note(adapter_->OnFeedback(TwoLabels(), {}, known_)), Kinds{kJudge});
}

TEST_F(AdapterTest, NoticesTheNextChangeAfterItRolledBack) {
  Start({});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  adapter_->OnFeedback(TwoLabels(), {}, known_);
  adapter_->OnJudged(Judged(kAligned, 2, 2), Composed(kAligned));
  Probation(0.2f, 0.5f, 0.9f, 0.4f);
  ASSERT_EQ(adapter_->state(), AdapterState::kRolledBack);
  EXPECT_FALSE(adapter_->OnDrift("e-2", 5000).empty());
  EXPECT_EQ(adapter_->state(), AdapterState::kSuspect);
}

TEST_F(AdapterTest, NeedsBothFartherAndLessSureToRollBack) {
  for (const bool farther : {true, false}) {
    Start({});
    adapter_->OnDrift("e-1", 1000);
    Collect(1, 300);
    adapter_->OnFeedback(TwoLabels(), {}, known_);
    adapter_->OnJudged(Judged(kAligned, 2, 2), Composed(kAligned));
    EXPECT_EQ(Note(farther ? Probation(0.2f, 0.5f, 0.4f, 0.9f) : Probation(0.5f, 0.2f, 0.9f, 0.4f)),
              (Kinds{kCommit, kRebaseline, kReport}));
  }
}

TEST_F(AdapterTest, RollsBackAMemoryThatForgetsTheCanary) {
  Start({});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  adapter_->OnFeedback(TwoLabels(), {}, known_);
  EXPECT_EQ(Note(adapter_->OnJudged(Judged(kRemembered, 2, 2), Composed(kRemembered))),
            (Kinds{kServe, kReport}));
  EXPECT_EQ(last_[1].fates[0].fate, "learned");
  EXPECT_EQ(last_[1].fates[1].fate, "judged");
  EXPECT_TRUE(adapter_->OnCanary(0.98, 0.975).empty());
  EXPECT_EQ(Note(adapter_->OnCanary(0.98, 0.96)), (Kinds{kRollBack, kRebaseline, kReport}));
}

TEST_F(AdapterTest, EscalatesWhenNothingHelps) {
  Start({});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  adapter_->OnFeedback(TwoLabels(), {}, known_);
  EXPECT_EQ(Note(adapter_->OnJudged(Judged({}, 5, 24), Composed({}))),
            (Kinds{kRebaseline, kReport}));
  EXPECT_EQ(adapter_->state(), AdapterState::kEscalated);
  EXPECT_TRUE(adapter_->OnDrift("e-2", 5000).empty());
  // More labels lead back to adapting.
  adapter_->OnFeedback({"f-2", {{"s2", 4, "f-2"}}, {}, {}}, {}, known_);
  EXPECT_EQ(adapter_->state(), AdapterState::kAdapting);
}

TEST_F(AdapterTest, EscalatesWhenNobodyAnswers) {
  Start({.patience_samples = 500});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);  // Asked at sample 1300.
  EXPECT_TRUE(adapter_->OnSample(1799).empty());
  EXPECT_EQ(Note(adapter_->OnSample(1800)), Kinds{kReport});
  EXPECT_EQ(adapter_->state(), AdapterState::kEscalated);
}

TEST_F(AdapterTest, UndoesWhatItDidForAFalseAlarm) {
  Start({.mode = Mode::kAutonomous, .has_pictures = true});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  adapter_->OnInputSearched(Found(StepKind::kFlatField, true));
  Probation(0.5f, 0.2f, 0.4f, 0.9f);
  ASSERT_FALSE(adapter_->served().is_none());
  EXPECT_EQ(Note(adapter_->OnFeedback({"f-1", {}, {}, EventVerdict::kFalseAlarm}, {}, known_)),
            (Kinds{kRollBack, kRebaseline, kReport}));
  EXPECT_TRUE(adapter_->served().is_none());
  EXPECT_EQ(adapter_->state(), AdapterState::kStable);
  EXPECT_EQ(last_[2].event_id, "e-1");
}

TEST_F(AdapterTest, KeepsWhatItDidForAnExpectedChange) {
  Start({.mode = Mode::kAutonomous, .has_pictures = true});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  adapter_->OnInputSearched(Found(StepKind::kFlatField, true));
  Probation(0.5f, 0.2f, 0.4f, 0.9f);
  EXPECT_EQ(Note(adapter_->OnFeedback({"f-1", {}, {}, EventVerdict::kExpected}, {}, known_)),
            (Kinds{kRebaseline, kReport}));
  EXPECT_EQ(adapter_->served().hypothesis.name(), "flat_field");
}

TEST_F(AdapterTest, GoesBackToTheInputAsItIsWhenTheLensWasWiped) {
  Start({.mode = Mode::kAutonomous, .has_pictures = true});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  adapter_->OnInputSearched(Found(StepKind::kFlatField, true));
  Probation(0.5f, 0.2f, 0.4f, 0.9f);
  EXPECT_EQ(Note(adapter_->OnDrift("e-2", 9000)), Kinds{kBeginQuarantine});
  Collect(1, 100);
  EXPECT_EQ(Note(adapter_->OnInputSearched(Found(std::nullopt, false))), (Kinds{kServe, kReport}));
  EXPECT_TRUE(adapter_->served().is_none());
}

TEST_F(AdapterTest, TellsWhatBecameOfEachLabel) {
  Start({});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  const std::map<std::string, Label> before = {{"s1", {"s1", 1, "f-0"}}, {"s2", {"s2", 4, "f-0"}}};
  adapter_->OnFeedback({"f-1", {{"s1", 3, "f-1"}, {"nobody", 1, "f-1"}}, {"s2"}, {}}, before,
                       known_);
  Note(adapter_->OnJudged(Judged({}, 1, 1), Composed({})));
  EXPECT_EQ(last_.back().fates, (std::vector<LabelFate>{{"s1", "f-0", "replaced"},
                                                        {"nobody", "f-1", "unknown_sample"},
                                                        {"s2", "f-1", "retracted"},
                                                        {"s1", "f-1", "judged"}}));
}

TEST_F(AdapterTest, AcknowledgesFeedbackThatChangesNothing) {
  Start({});
  EXPECT_EQ(Note(adapter_->OnFeedback({"f-1", {{"nobody", 1, "f-1"}}, {}, {}}, {}, {})),
            Kinds{kReport});
  EXPECT_EQ(last_[0].feedback_id, "f-1");
  EXPECT_EQ(last_[0].fates[0].fate, "unknown_sample");
}

TEST_F(AdapterTest, GoesOnFromASavedStateAsIfNeverStopped) {
  Start({.mode = Mode::kAutonomous, .has_pictures = true});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 100);
  adapter_->OnInputSearched(Found(StepKind::kFlatField, true));
  adapter_->OnProbation({0.5f, 0.4f, 0.2f, 0.9f});
  const base::Bytes saved = adapter_->Save();

  Adapter after(adapter_->options(), "bundle-1");
  ASSERT_TRUE(after.Restore(saved).ok());
  EXPECT_EQ(after.Save(), saved);
  EXPECT_EQ(after.state(), AdapterState::kProbation);
  EXPECT_EQ(after.served(), adapter_->served());
  for (int i = 0; i < 8; ++i) EXPECT_TRUE(after.OnProbation({0.5f, 0.4f, 0.2f, 0.9f}).empty());
  EXPECT_EQ(Note(after.OnProbation({0.5f, 0.4f, 0.2f, 0.9f})),
            (Kinds{kCommit, kRebaseline, kReport}));
}

TEST_F(AdapterTest, RefusesADamagedOrForeignState) {
  Start({});
  adapter_->OnDrift("e-1", 1000);
  const base::Bytes saved = adapter_->Save();
  for (std::size_t i = 0; i < saved.size(); ++i) {
    base::Bytes flipped = saved;
    flipped[i] = static_cast<std::uint8_t>(flipped[i] ^ 1u);
    EXPECT_FALSE(Adapter({}, "bundle-1").Restore(flipped).ok()) << "byte " << i;
  }
  Adapter other({}, "bundle-2");
  EXPECT_EQ(other.Restore(saved).error().code, base::ErrorCode::kConflict);
}

TEST_F(AdapterTest, TakesWhatWasCarriedOverToANewBundle) {
  Start({});
  adapter_->OnDrift("e-1", 1000);
  Collect(1, 300);
  adapter_->OnFeedback(TwoLabels(), {}, known_);
  adapter_->OnJudged(Judged(kAligned, 2, 2), Composed(kAligned));
  Carried carried;
  carried.adaptation = Composed(kAligned);
  carried.adaptation.bundle = "bundle-2";
  adapter_->OnBundle(carried);
  EXPECT_EQ(adapter_->served(), carried.adaptation);
  EXPECT_EQ(adapter_->state(), AdapterState::kStable);
}

TEST(AdapterNames, ReadBack) {
  for (const Mode mode : {Mode::kAutonomous, Mode::kServerAssisted, Mode::kMonitoringOnly}) {
    EXPECT_EQ(ParseMode(Name(mode)).value(), mode);
  }
  EXPECT_EQ(ParseEventVerdict("false_alarm").value(), EventVerdict::kFalseAlarm);
  EXPECT_FALSE(ParseMode("rogue").ok());
  EXPECT_FALSE(ParseEventVerdict("maybe").ok());
}

}  // namespace
}  // namespace tinylcm::adapt
