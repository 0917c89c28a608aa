#include "tinylcm/adapt/machine.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "tinylcm/src/state/wire.h"

namespace tinylcm::adapt {
namespace {

using Kinds = std::vector<ActionKind>;
using enum ActionKind;
using State = AdaptState;

InputHypothesis FlatField() { return InputHypothesis::Of({.kind = StepKind::kFlatField}); }

AdaptationPtr Base(const std::string& bundle = "bundle-1") {
  Adaptation none;
  none.bundle = bundle;
  return std::make_shared<const Adaptation>(std::move(none));
}

AdaptationPtr Composed(ChallengerKind kind, const InputHypothesis& input = {}) {
  Adaptation adaptation;
  adaptation.bundle = "bundle-1";
  adaptation.event_id = "e-1";
  adaptation.hypothesis = input;
  adaptation.challenger = kind;
  if (kind.alignment != Alignment::kNone) adaptation.transform = {{2.0f}, {1.0f}};
  if (kind.memory != Memory::kNone) {
    adaptation.memory.dims = 1;
    adaptation.memory.Add(std::vector<float>{1.0f}, 0);
    adaptation.entries = {{"s1", "s1", "f-1", LabelOrigin::kPerson, 0}};
  }
  return std::make_shared<const Adaptation>(std::move(adaptation));
}

constexpr ChallengerKind kAligned{Alignment::kMeanVariance, Memory::kNone};
constexpr ChallengerKind kRemembered{Alignment::kNone, Memory::kLabelled};

Searched Found(bool adopted) {
  Searched searched{1100, {}, {.is_known = true, .mean = 0.8, .low = 0.7, .high = 0.9}};
  searched.result.scores = {{"identity", 1.0, 0}, {"flat_field", 0.3, 0}};
  searched.result.best = adopted ? 1 : 0;
  searched.result.is_adopted = adopted;
  searched.result.ratio = adopted ? 0.3 : 1.0;
  if (adopted) searched.result.hypothesis = FlatField();
  return searched;
}

Searched NothingFound(AccuracyClaim accuracy) {
  Searched searched = Found(false);
  searched.accuracy = accuracy;
  return searched;
}

constexpr AccuracyClaim kSurelyHalf{.is_known = true, .mean = 0.7, .low = 0.55, .high = 0.8};
constexpr AccuracyClaim kSurelyHalfOfOthers{
    .is_known = true, .mean = 0.7, .low = 0.55, .high = 0.8, .gap = 0.3};
constexpr AccuracyClaim kPerhapsHalf{.is_known = true, .mean = 0.6, .low = 0.45, .high = 0.8};
constexpr AccuracyClaim kNobodyKnows{};

Judged Chosen(const AdaptationPtr& composed, int correct = 2, int labels = 2) {
  Judged judged;
  judged.index = 2000;
  judged.figures.labels = labels;
  judged.figures.correct = correct;
  judged.composed = composed;
  return judged;
}

Told TwoLabels(const std::string& id = "f-1") {
  Told told;
  told.index = 1900;
  told.feedback.feedback_id = id;
  told.feedback.labels = {{"s1", 3, id}, {"s2", 4, id}};
  return told;
}

Told Verdict(EventVerdict verdict) {
  Told told;
  told.index = 1900;
  told.feedback.feedback_id = "f-1";
  told.feedback.verdict = verdict;
  return told;
}

Told Ordered(Order order, const Adaptation& adaptation) {
  Told told;
  told.index = 1900;
  told.feedback.feedback_id = "f-o";
  told.feedback.orders = {{DigestOf(adaptation), order}};
  return told;
}

// Champion and challenger give different answers; the numbers are theirs.
Shadowed Pair(float champion, float challenger, float sure_before, float sure_after) {
  return {3000,
          {.champion_distance = champion,
           .champion_confidence = sure_before,
           .challenger_distance = challenger,
           .challenger_confidence = sure_after,
           .champion_label = 1,
           .challenger_label = 2}};
}
// The challenger is nearer and no less sure, by so little that no bet is won on it.
Shadowed ALittleBetter() { return Pair(0.5f, 0.49f, 0.6f, 0.61f); }
Shadowed MuchWorse() { return Pair(0.2f, 0.5f, 0.9f, 0.4f); }

class MachineTest : public testing::Test {
 public:  // For the tables' functions.
  void Start(MachineOptions options) {
    options.probation_samples = 40;
    options_ = options;
    state_ = MachineState::Fresh(Base());
  }

  Kinds Feed(const MachineEvent& event) {
    Step step = Next(options_, std::move(state_), event);
    state_ = std::move(step.state);
    last_ = std::move(step.actions);
    Kinds kinds;
    for (const Action& action : last_) kinds.push_back(action.kind);
    return kinds;
  }

  // From `from` to `to` samples; all that was to be done meanwhile.
  Kinds Collect(std::uint32_t from, std::uint32_t to) {
    Kinds all;
    for (std::uint32_t count = from; count <= to; ++count) {
      const Kinds kinds = Feed(Collected{1000 + count, count, false});
      all.insert(all.end(), kinds.begin(), kinds.end());
    }
    return all;
  }

  void Alarmed() { Feed(Alarm{"e-1", 1000, {}, {}}); }
  // Everything is collected, nothing was found without labels, and that is no great matter.
  void Asked() {
    Alarmed();
    Collect(1, 100);
    Feed(NothingFound(kSurelyHalf));
    Collect(101, 300);
  }
  void OnTrial(const AdaptationPtr& adaptation) {
    Asked();
    Feed(TwoLabels());
    Feed(NothingFound(kSurelyHalf));
    Feed(Chosen(adaptation));
    ASSERT_EQ(state_.state, State::kProbation);
  }
  // server_assisted: labels chose it, and it waits for approval.
  void Proposed(const AdaptationPtr& adaptation = Composed(kAligned)) {
    Asked();
    Feed(TwoLabels());
    Feed(NothingFound(kSurelyHalf));
    Feed(Chosen(adaptation));
    ASSERT_EQ(state_.awaits(), "approval");
  }
  Kinds Repeat(const Shadowed& sample, int times) {
    for (int i = 0; i < times; ++i) {
      const Kinds kinds = Feed(sample);
      if (!kinds.empty()) return kinds;
    }
    return {};
  }

  MachineOptions options_;
  MachineState state_;
  Actions last_;
};

// ---- The way through ----------------------------------------------------------------------------

TEST_F(MachineTest, TakesAStreamFromAlarmByLabelsToCommit) {
  Start({.mode = Mode::kAutonomous});
  EXPECT_EQ(Feed(Alarm{"e-1", 1000, {}, {}}), Kinds{kBeginQuarantine});
  EXPECT_EQ(state_.state, State::kSuspect);
  EXPECT_EQ(Collect(1, 99), Kinds{kRecognise});
  EXPECT_EQ(Collect(100, 100), Kinds{kSearchInput});
  EXPECT_EQ(state_.state, State::kAdapting);
  EXPECT_EQ(Feed(NothingFound(kSurelyHalf)), Kinds{});
  EXPECT_EQ(Collect(101, 300), (Kinds{kAskForLabels, kReport}));
  EXPECT_EQ(last_[0].labels, 24u);
  EXPECT_EQ(state_.awaits(), "labels");

  EXPECT_EQ(Feed(TwoLabels()), Kinds{kSearchInput});
  EXPECT_EQ(Feed(NothingFound(kSurelyHalf)), Kinds{kJudge});
  EXPECT_EQ(Feed(Chosen(Composed(kAligned))), (Kinds{kServe, kReport}));
  EXPECT_EQ(state_.state, State::kProbation);
  EXPECT_EQ(last_[1].feedback_id, "f-1");
  EXPECT_EQ(last_[1].fates,
            (std::vector<LabelFate>{{"s1", "f-1", "judged"}, {"s2", "f-1", "judged"}}));

  EXPECT_EQ(Repeat(ALittleBetter(), 40), (Kinds{kCommit, kRebaseline, kReport}));
  EXPECT_EQ(last_[0].event_id, "e-1");
  EXPECT_EQ(state_.trial.count, 40u);
  EXPECT_EQ(state_.state, State::kStable);
  EXPECT_EQ(*state_.served, *Composed(kAligned));
  EXPECT_EQ(state_.awaits(), std::nullopt);
}

TEST_F(MachineTest, LogsEveryChangeOfStateWithItsReason) {
  Start({});
  OnTrial(Composed(kAligned));
  Repeat(ALittleBetter(), 40);
  std::vector<std::pair<State, State>> ways;
  for (const Transition& transition : state_.log) {
    ways.emplace_back(transition.from, transition.to);
    EXPECT_NE(transition.why, "");
    EXPECT_GE(transition.index, 1000u);
  }
  EXPECT_EQ(ways, (std::vector<std::pair<State, State>>{{State::kStable, State::kSuspect},
                                                        {State::kSuspect, State::kAdapting},
                                                        {State::kAdapting, State::kProbation},
                                                        {State::kProbation, State::kStable}}));
  EXPECT_EQ(state_.untold().size(), 4u);
  state_ = ToldAll(std::move(state_));
  EXPECT_TRUE(state_.untold().empty());
}

TEST_F(MachineTest, KeepsTheLastStepsOnly) {
  Start({.mode = Mode::kMonitoringOnly});
  for (int i = 0; i < 50; ++i) {
    Alarmed();
    Feed(Collected{1300, 300, true});
  }
  EXPECT_EQ(state_.log.size(), MachineState::kLogMax);
  EXPECT_EQ(state_.log_count, 100u);
  EXPECT_EQ(state_.untold().size(), MachineState::kLogMax);
}

TEST_F(MachineTest, ServesACorrectedInputBeforeLabelsWhenAutonomous) {
  Start({.mode = Mode::kAutonomous});
  Alarmed();
  Collect(1, 100);
  EXPECT_EQ(Feed(Found(true)), (Kinds{kServe, kReport}));
  EXPECT_EQ(state_.state, State::kProbation);
  EXPECT_EQ(Repeat(ALittleBetter(), 40), (Kinds{kCommit, kRebaseline, kReport}));
  // Still collecting for the person's labels, and deaf to another alarm until that is done.
  EXPECT_EQ(state_.state, State::kAdapting);
  EXPECT_EQ(Feed(Alarm{"e-2", 1150, {}, {}}), Kinds{});
  EXPECT_EQ(Collect(101, 300), (Kinds{kAskForLabels, kReport}));
  EXPECT_EQ(state_.state, State::kStable);
  EXPECT_EQ(state_.suppressed, 1u);

  // Labels confirm it: searched again with them, judged in the corrected input, nothing changes.
  EXPECT_EQ(Feed(TwoLabels()), Kinds{kSearchInput});
  EXPECT_EQ(Feed(Found(true)), Kinds{kJudge});
  EXPECT_EQ(last_[0].adaptation->hypothesis, FlatField());
  EXPECT_EQ(Feed(Chosen(Composed({}, FlatField()))), (Kinds{kCommit, kRebaseline, kReport}));
  EXPECT_EQ(state_.state, State::kStable);
}

TEST_F(MachineTest, GoesBackToTheInputAsItIsWhenTheLensWasWiped) {
  Start({});
  Alarmed();
  Collect(1, 100);
  Feed(Found(true));
  Repeat(ALittleBetter(), 40);
  Collect(101, 300);
  EXPECT_EQ(Feed(Alarm{"e-2", 9000, {}, {}}), Kinds{kBeginQuarantine});
  Collect(1, 100);
  EXPECT_EQ(Feed(Found(false)), (Kinds{kServe, kReport}));
  EXPECT_TRUE(state_.served->is_none());
}

TEST_F(MachineTest, ChangesNothingWhenMonitoringOnly) {
  Start({.mode = Mode::kMonitoringOnly});
  Alarmed();
  EXPECT_EQ(Collect(1, 300), (Kinds{kAskForLabels, kRebaseline, kReport}));
  EXPECT_EQ(state_.state, State::kStable);
  EXPECT_EQ(Feed(TwoLabels()), Kinds{kReport});
  EXPECT_EQ(last_[0].fates[0].fate, "monitoring_only");
  EXPECT_TRUE(state_.served->is_none());
}

TEST_F(MachineTest, ABundleThatIsNotAdaptableIsOnlyWatched) {
  Start({.is_adaptable = false});
  Alarmed();
  EXPECT_EQ(Collect(1, 300), (Kinds{kAskForLabels, kRebaseline, kReport}));
  EXPECT_EQ(Feed(TwoLabels()), Kinds{kReport});
  EXPECT_EQ(last_[0].fates[0].fate, "monitoring_only");
}

TEST_F(MachineTest, LabelsOnTheirWayWhenTheModeChangesAreAnsweredForAndChangeNothing) {
  Start({});
  Asked();
  Feed(TwoLabels());
  options_.mode = Mode::kMonitoringOnly;
  EXPECT_EQ(Feed(Found(true)), Kinds{kJudge});
  EXPECT_EQ(Feed(Chosen(Composed(kAligned))), (Kinds{kRebaseline, kReport}));
  EXPECT_EQ(last_[1].fates, (std::vector<LabelFate>{{"s1", "f-1", "monitoring_only"},
                                                    {"s2", "f-1", "monitoring_only"}}));
  EXPECT_EQ(state_.state, State::kStable);
  EXPECT_TRUE(state_.served->is_none());
}

// Whatever was waited for when nothing may be changed any more: the next alarm is heard.
TEST_F(MachineTest, WatchesAgainWhenTheModeChangesWhileSomethingIsAwaited) {
  struct Case {
    const char* awaited;
    void (*wait)(MachineTest&);
  };
  const Case cases[] = {
      {"labels", [](MachineTest& test) { test.Asked(); }},
      {"labels, escalated",
       [](MachineTest& test) {
         test.Alarmed();
         test.Collect(1, 100);
         test.Feed(NothingFound(kNobodyKnows));
         test.Collect(101, 300);
       }},
      {"approval", [](MachineTest& test) { test.Proposed(); }},
  };
  for (const Case& one : cases) {
    for (const bool is_told : {true, false}) {  // Also where nobody told of the mode.
      SCOPED_TRACE(one.awaited);
      Start({.mode = Mode::kServerAssisted});
      one.wait(*this);
      ASSERT_TRUE(state_.awaits().has_value());
      options_.mode = Mode::kMonitoringOnly;
      if (is_told) {
        EXPECT_EQ(Feed(ModeChanged{1500}), (Kinds{kRebaseline, kReport}));
        EXPECT_EQ(state_.state, State::kStable);
        EXPECT_EQ(state_.awaits(), std::nullopt);
        EXPECT_EQ(Feed(ModeChanged{1501}), Kinds{});
      }
      EXPECT_EQ(Feed(Alarm{"e-2", 5000, {}, {}}), Kinds{kBeginQuarantine});
      EXPECT_EQ(state_.awaits(), std::nullopt);
    }
  }
}

TEST_F(MachineTest, AProposalEndsWithTheCollectingWhenTheModeChangesMeanwhile) {
  Start({.mode = Mode::kServerAssisted});
  Alarmed();
  Collect(1, 100);
  Feed(Found(true));
  options_.mode = Mode::kMonitoringOnly;
  EXPECT_EQ(Feed(ModeChanged{1500}), Kinds{kReport});
  EXPECT_EQ(state_.awaits(), std::nullopt);
  EXPECT_EQ(Collect(101, 300), (Kinds{kAskForLabels, kRebaseline, kReport}));
  EXPECT_EQ(state_.state, State::kStable);
}

TEST_F(MachineTest, ATrialGoesToItsEndWhenTheModeChanges) {
  Start({});
  Alarmed();
  Collect(1, 100);
  Feed(Found(true));
  options_.mode = Mode::kMonitoringOnly;
  EXPECT_EQ(Feed(ModeChanged{1100}), Kinds{});
  EXPECT_EQ(Collect(101, 300), (Kinds{kAskForLabels, kReport}));
  ASSERT_EQ(state_.state, State::kProbation);
  EXPECT_EQ(Repeat(MuchWorse(), 40), (Kinds{kRollBack, kRebaseline, kReport}));
  EXPECT_TRUE(state_.served->is_none());
}

TEST_F(MachineTest, WhatServesCanBeTakenBackInEveryMode) {
  Start({});
  OnTrial(Composed(kAligned));
  Repeat(ALittleBetter(), 40);
  options_.mode = Mode::kMonitoringOnly;
  const Adaptation served = *state_.served;
  EXPECT_EQ(Feed(Ordered(Order::kApprove, served)), Kinds{kReport});
  EXPECT_EQ(last_[0].orders[0].outcome, "unused");
  EXPECT_EQ(Feed(Ordered(Order::kRollBack, served)), (Kinds{kRollBack, kRebaseline, kReport}));
  EXPECT_EQ(last_[2].orders[0].outcome, "done");
  EXPECT_TRUE(state_.served->is_none());
}

// ---- What was met before ------------------------------------------------------------------------

TEST_F(MachineTest, ServesWhatWasMetBeforeThroughTheSameProbation) {
  Start({});
  Alarmed();
  EXPECT_EQ(Collect(1, 24), Kinds{kRecognise});
  Collect(25, 30);
  EXPECT_EQ(Feed(Recognised{1030, Composed(kAligned), "the evening light"}),
            (Kinds{kServe, kReport}));
  EXPECT_EQ(state_.state, State::kProbation);
  // Nothing else is tried while it is on trial, nor once it is committed.
  EXPECT_EQ(Collect(31, 120), Kinds{});
  EXPECT_EQ(Repeat(ALittleBetter(), 40), (Kinds{kCommit, kRebaseline, kReport}));
  EXPECT_EQ(Collect(121, 300), (Kinds{kAskForLabels, kReport}));
  EXPECT_EQ(state_.state, State::kStable);
}

TEST_F(MachineTest, SearchesTheInputWhereWhatWasMetBeforeDoesNotHold) {
  Start({});
  Alarmed();
  Collect(1, 30);
  Feed(Recognised{1030, Composed(kAligned), "the evening light"});
  EXPECT_EQ(Repeat(MuchWorse(), 40), (Kinds{kRollBack, kRebaseline, kReport}));
  EXPECT_EQ(Collect(31, 100), Kinds{kSearchInput});
}

TEST_F(MachineTest, NothingKnownIsThereAgain) {
  Start({});
  Alarmed();
  Collect(1, 30);
  EXPECT_EQ(Feed(Recognised{1030, nullptr, ""}), Kinds{});
  EXPECT_EQ(state_.state, State::kSuspect);
}

// ---- Escalation ---------------------------------------------------------------------------------

TEST_F(MachineTest, EscalatesAndAsksAtOnceWhereNothingHelpsAndHalfRightIsNotSure) {
  for (const AccuracyClaim& claim : {kPerhapsHalf, kSurelyHalfOfOthers, kNobodyKnows}) {
    for (const Mode mode : {Mode::kAutonomous, Mode::kServerAssisted}) {
      Start({.mode = mode});
      Alarmed();
      Collect(1, 100);
      EXPECT_EQ(Feed(NothingFound(claim)), (Kinds{kReport, kAskForLabels}));
      EXPECT_EQ(state_.state, State::kEscalated);
      EXPECT_TRUE(state_.is_abstaining());
      EXPECT_EQ(state_.awaits(), "labels");
      // It goes on collecting, is not asked twice, and nothing is served.
      EXPECT_EQ(Collect(101, 300), Kinds{});
      EXPECT_EQ(state_.state, State::kEscalated);
      EXPECT_TRUE(state_.served->is_none());
      EXPECT_EQ(Feed(Alarm{"e-2", 5000, {}, {}}), Kinds{});
      // Labels lead back.
      EXPECT_EQ(Feed(TwoLabels()), Kinds{kSearchInput});
      EXPECT_EQ(state_.state, State::kAdapting);
      EXPECT_FALSE(state_.is_abstaining());
    }
  }
}

TEST_F(MachineTest, DoesNotEscalateWhereHalfAreSurelyRight) {
  Start({});
  Asked();
  EXPECT_EQ(state_.state, State::kAdapting);
  EXPECT_FALSE(state_.is_abstaining());
}

TEST_F(MachineTest, EscalatesWhenNothingHelpsByTheLabels) {
  Start({});
  Asked();
  Feed(TwoLabels());
  Feed(NothingFound(kSurelyHalf));
  EXPECT_EQ(Feed(Chosen(Composed({}), 5, 24)), (Kinds{kRebaseline, kReport}));
  EXPECT_EQ(state_.state, State::kEscalated);
  Feed(TwoLabels("f-2"));
  EXPECT_EQ(state_.state, State::kAdapting);
}

TEST_F(MachineTest, EscalatesWhenNobodyAnswers) {
  Start({.patience_samples = 500});
  Asked();  // Asked at sample 1300.
  EXPECT_EQ(Feed(Passed{1799}), Kinds{});
  EXPECT_EQ(Feed(Passed{1800}), Kinds{kReport});
  EXPECT_EQ(state_.state, State::kEscalated);
  EXPECT_EQ(Feed(Passed{1801}), Kinds{});
}

TEST_F(MachineTest, LabelsThatCameEarlyAreJudgedAgainOverAllSamples) {
  Start({});
  Alarmed();
  Collect(1, 100);
  Feed(NothingFound(kNobodyKnows));
  Feed(TwoLabels());
  Feed(NothingFound(kNobodyKnows));
  ASSERT_EQ(Feed(Chosen(Composed(kAligned))), (Kinds{kServe, kReport}));
  EXPECT_TRUE(state_.is_collecting);
  const AdaptationPtr early = state_.served;
  // On trial, and then all is collected: no new question, the same labels.
  Feed(ALittleBetter());
  EXPECT_EQ(Collect(101, 300), Kinds{kSearchInput});
  EXPECT_EQ(state_.state, State::kAdapting);
  EXPECT_EQ(Feed(NothingFound(kNobodyKnows)), Kinds{kJudge});
  EXPECT_EQ(Feed(Chosen(Composed(kRemembered))), (Kinds{kServe, kReport}));
  EXPECT_EQ(last_[1].feedback_id, "") << "acknowledged before";
  EXPECT_EQ(*state_.served, *Composed(kRemembered));
  EXPECT_TRUE(state_.champion->is_none()) << "what was on trial has proven nothing";
  // If that cannot be served, neither does what it was to replace.
  MachineState here = state_;
  EXPECT_EQ(Feed(ServeRefused{2001, "no space"}), (Kinds{kRollBack, kReport}));
  EXPECT_TRUE(state_.served->is_none());
  state_ = std::move(here);
  EXPECT_EQ(Repeat(ALittleBetter(), 40), (Kinds{kCommit, kRebaseline, kReport}));
  EXPECT_EQ(state_.state, State::kStable);
}

TEST_F(MachineTest, AFurtherChangeIsANewEventWhereLabelsDidNotHelp) {
  Start({});
  Asked();
  Feed(TwoLabels());
  Feed(NothingFound(kSurelyHalf));
  Feed(Chosen(Composed({}), 5, 24));
  ASSERT_EQ(state_.state, State::kEscalated);
  EXPECT_EQ(Feed(Alarm{"e-2", 5000, {}, {}}), Kinds{kBeginQuarantine});
}

// What a person undid at 150 samples is not chosen again by the same labels at 300.
TEST_F(MachineTest, WhatAPersonUndidDoesNotComeBackWithTheLastSample) {
  struct Case {
    const char* undone_by;
    Mode mode;
    void (*undo)(MachineTest&);
  };
  const Case cases[] = {
      {"an order to go back", Mode::kAutonomous,
       [](MachineTest& test) { test.Feed(Ordered(Order::kRollBack, *test.state_.served)); }},
      {"a rejection", Mode::kServerAssisted,
       [](MachineTest& test) { test.Feed(Ordered(Order::kReject, *test.state_.proposed)); }},
      {"a snapshot", Mode::kAutonomous,
       [](MachineTest& test) { test.Feed(SnapshotRestored{1150, Base(), "went back by hand"}); }},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.undone_by);
    Start({.mode = one.mode});
    Alarmed();
    Collect(1, 100);
    Feed(NothingFound(kNobodyKnows));
    Feed(TwoLabels());
    Feed(NothingFound(kNobodyKnows));
    Feed(Chosen(Composed(kAligned)));
    one.undo(*this);
    const Kinds later = Collect(150, 300);
    EXPECT_EQ(std::ranges::count(later, kSearchInput), 0);
    EXPECT_EQ(std::ranges::count(later, kJudge), 0);
    EXPECT_TRUE(state_.served->is_none());
    EXPECT_EQ(state_.proposed, nullptr);
    // New labels are another matter.
    EXPECT_EQ(Feed(TwoLabels("f-2")), Kinds{kSearchInput});
  }
}

// ---- Labels that contradict one another ---------------------------------------------------------

TEST_F(MachineTest, LearnsNothingFromLabelsThatContradictOneAnother) {
  Start({});
  Asked();
  Feed(TwoLabels());
  Feed(NothingFound(kSurelyHalf));
  Judged judged = Chosen(Composed(kRemembered));
  judged.figures.is_trusted = false;
  judged.figures.why = "7 of 24 labels contradict their neighbours";
  judged.figures.refused = {"s2"};
  EXPECT_EQ(Feed(judged), Kinds{kReport});
  EXPECT_EQ(last_[0].fates,
            (std::vector<LabelFate>{{"s1", "f-1", "judged"}, {"s2", "f-1", "refused"}}));
  EXPECT_EQ(state_.state, State::kEscalated);
  EXPECT_TRUE(state_.served->is_none());
  EXPECT_EQ(state_.awaits(), "labels");
}

TEST_F(MachineTest, TakesBackWhatWasOnTrialWhenLabelsContradictOneAnother) {
  Start({});
  OnTrial(Composed(kRemembered));
  Feed(TwoLabels("f-2"));
  Feed(NothingFound(kSurelyHalf));
  Judged judged = Chosen(Composed(kRemembered));
  judged.figures.is_trusted = false;
  EXPECT_EQ(Feed(judged), (Kinds{kRollBack, kRebaseline, kReport, kReport}));
  EXPECT_EQ(state_.state, State::kEscalated);
  EXPECT_TRUE(state_.served->is_none());
}

TEST_F(MachineTest, APersonsLabelsAgainstWhatIsOnTrialRollItBack) {
  Start({});
  OnTrial(Composed(kRemembered));
  const base::Bytes before = Serialise(*state_.champion);
  EXPECT_EQ(Feed(TwoLabels("f-2")), Kinds{kSearchInput});
  EXPECT_EQ(Feed(NothingFound(kSurelyHalf)), Kinds{kJudge});
  EXPECT_EQ(Feed(Chosen(Base())), (Kinds{kRollBack, kRebaseline, kReport}));
  EXPECT_EQ(state_.state, State::kRolledBack);
  EXPECT_EQ(Serialise(*last_[0].adaptation), before);
}

// ---- Probation ----------------------------------------------------------------------------------

TEST_F(MachineTest, RollsBackToTheByteAsSoonAsItIsSurelyWorse) {
  Start({});
  OnTrial(Composed(kAligned));
  const base::Bytes before = Serialise(*state_.champion);
  EXPECT_EQ(Repeat(MuchWorse(), 40), (Kinds{kRollBack, kRebaseline, kReport}));
  // Each such sample multiplies the boldest stake by 1 + .8 * .5: 1.4^n / 4 passes 100 at n = 18.
  EXPECT_LE(state_.log.back().index, 3000u);
  EXPECT_EQ(state_.state, State::kRolledBack);
  EXPECT_EQ(Serialise(*last_[0].adaptation), before);
  EXPECT_EQ(Serialise(*state_.served), before);
  // A further change is a new event, and labels lead back.
  MachineState here = state_;
  EXPECT_EQ(Feed(TwoLabels()), Kinds{kSearchInput});
  state_ = std::move(here);
  EXPECT_EQ(Feed(Alarm{"e-2", 5000, {}, {}}), Kinds{kBeginQuarantine});
}

TEST_F(MachineTest, ThePreparedWayBackIsTheSameAsTheOneThatIsTaken) {
  Start({});
  OnTrial(Composed(kAligned));
  MachineState prepared = state_;
  Repeat(MuchWorse(), 40);
  const Transition& taken = state_.log.back();
  prepared = RolledBack(std::move(prepared), taken.index, taken.why);
  EXPECT_EQ(Serialise(prepared), Serialise(state_));
}

TEST_F(MachineTest, CommitsEarlyWhatIsSurelyBetter) {
  Start({});
  OnTrial(Composed(kAligned));
  EXPECT_EQ(Repeat(Pair(0.5f, 0.2f, 0.4f, 0.9f), 40), (Kinds{kCommit, kRebaseline, kReport}));
  EXPECT_EQ(state_.trial.count, 30u);  // Not before 30, however sure.
}

TEST_F(MachineTest, NeedsBothFartherAndLessSureToRollBack) {
  for (const bool farther : {true, false}) {
    Start({});
    OnTrial(Composed(kAligned));
    const Shadowed sample = farther ? Pair(0.2f, 0.5f, 0.4f, 0.9f) : Pair(0.5f, 0.2f, 0.9f, 0.4f);
    EXPECT_EQ(Repeat(sample, 40), (Kinds{kCommit, kRebaseline, kReport}));
  }
}

TEST_F(MachineTest, RollsBackWhatAnswersWithFewerClasses) {
  Start({});
  OnTrial(Composed(kRemembered));
  Kinds kinds;
  for (std::uint16_t i = 0; i < 40 && kinds.empty(); ++i) {
    Shadowed sample = Pair(0.5f, 0.5f, 0.6f, 0.9f);
    sample.sample.champion_label = i % 4;  // Four classes, alike.
    sample.sample.challenger_label = 0;    // One.
    kinds = Feed(sample);
  }
  EXPECT_EQ(kinds, (Kinds{kRollBack, kRebaseline, kReport}));
}

TEST_F(MachineTest, FewerClassesAreARepairWhereTheAnswersLieNearer) {
  Start({});
  OnTrial(Composed(kAligned));
  Kinds kinds;
  for (std::uint16_t i = 0; i < 40 && kinds.empty(); ++i) {
    Shadowed sample = Pair(0.5f, 0.3f, 0.6f, 0.6f);
    sample.sample.champion_label = i % 4;
    sample.sample.challenger_label = 0;
    kinds = Feed(sample);
  }
  EXPECT_EQ(kinds, (Kinds{kCommit, kRebaseline, kReport}));
}

TEST_F(MachineTest, LabelsOutweighTheBets) {
  // 20 of 24 labels are right with it, 9 without: it may lie farther and be less sure.
  Start({});
  Asked();
  Feed(TwoLabels());
  Feed(NothingFound(kSurelyHalf));
  Judged judged = Chosen(Composed(kRemembered), 20, 24);
  judged.figures.correct_before = 9;
  Feed(judged);
  EXPECT_EQ(Repeat(MuchWorse(), 40), (Kinds{kCommit, kRebaseline, kReport}));
  // Two more than without it are not enough to trust labels against all else.
  Start({});
  Asked();
  Feed(TwoLabels());
  Feed(NothingFound(kSurelyHalf));
  judged.figures.correct_before = 18;
  Feed(judged);
  EXPECT_EQ(Repeat(MuchWorse(), 40), (Kinds{kRollBack, kRebaseline, kReport}));
}

TEST_F(MachineTest, RollsBackAMemoryThatForgetsTheCanary) {
  Start({});
  OnTrial(Composed(kRemembered));
  EXPECT_EQ(Feed(CanaryMeasured{2000, 0.98, 0.975, 200}), Kinds{});
  EXPECT_EQ(Feed(CanaryMeasured{2000, 0.98, 0.86, 200}), (Kinds{kRollBack, kRebaseline, kReport}));
}

TEST_F(MachineTest, WhatCannotBeServedIsRefusedAndNothingHasChanged) {
  Start({});
  Asked();
  const base::Bytes before = Serialise(*state_.served);
  Feed(TwoLabels());
  Feed(NothingFound(kSurelyHalf));
  Feed(Chosen(Composed(kAligned)));
  EXPECT_EQ(Feed(ServeRefused{2001, "snapshot: no space left"}), Kinds{kReport});
  EXPECT_EQ(last_[0].text, "adaptation refused: snapshot: no space left");
  EXPECT_EQ(Serialise(*state_.served), before);
  EXPECT_EQ(state_.state, State::kAdapting);
  EXPECT_EQ(state_.awaits(), "labels");
  // And it is not tried again by itself.
  EXPECT_EQ(Feed(Passed{9000}), Kinds{});
}

// ---- Approval and orders ------------------------------------------------------------------------

TEST_F(MachineTest, ProposesWhatItWouldServeWhenServerAssisted) {
  Start({.mode = Mode::kServerAssisted});
  Alarmed();
  Collect(1, 100);
  EXPECT_EQ(Feed(Found(true)), Kinds{kReport});
  EXPECT_TRUE(state_.served->is_none());
  ASSERT_NE(state_.proposed, nullptr);
  EXPECT_EQ(state_.awaits(), "approval");
  EXPECT_EQ(Collect(101, 300), (Kinds{kAskForLabels, kReport}));

  // Labels choose another one, which takes its place.
  Feed(TwoLabels());
  Feed(Found(true));
  EXPECT_EQ(Feed(Chosen(Composed(kAligned, FlatField()))), Kinds{kReport});
  EXPECT_EQ(last_[0].fates.size(), 2u);
  EXPECT_TRUE(state_.served->is_none());
  EXPECT_EQ(*state_.proposed, *Composed(kAligned, FlatField()));

  const Adaptation proposed = *state_.proposed;
  EXPECT_EQ(Feed(Ordered(Order::kApprove, proposed)), (Kinds{kServe, kReport}));
  EXPECT_EQ(last_[1].feedback_id, "f-o");
  EXPECT_EQ(last_[1].orders,
            (std::vector<OrderFate>{{{DigestOf(proposed), Order::kApprove}, "done"}}));
  EXPECT_EQ(state_.state, State::kProbation);
  EXPECT_EQ(*state_.served, proposed);
  EXPECT_EQ(state_.proposed, nullptr);
}

TEST_F(MachineTest, RejectedIsNotServed) {
  Start({.mode = Mode::kServerAssisted});
  Alarmed();
  Collect(1, 100);
  Feed(Found(true));
  const Adaptation proposed = *state_.proposed;
  EXPECT_EQ(Feed(Ordered(Order::kReject, proposed)), (Kinds{kRebaseline, kReport}));
  EXPECT_EQ(state_.proposed, nullptr);
  EXPECT_TRUE(state_.served->is_none());
  EXPECT_EQ(Feed(Ordered(Order::kApprove, proposed)), Kinds{kReport});
  EXPECT_EQ(last_[0].orders[0].outcome, "unknown_adaptation");
}

TEST_F(MachineTest, WhatLabelsDidNotChooseCannotBeApprovedAnyMore) {
  for (const bool contradict : {false, true}) {
    Start({.mode = Mode::kServerAssisted});
    Proposed();
    const Adaptation proposed = *state_.proposed;
    Feed(TwoLabels("f-2"));
    Feed(NothingFound(kSurelyHalf));
    Judged judged = Chosen(Base(), 20, 24);  // What serves is best, after all.
    judged.figures.is_trusted = !contradict;
    Feed(judged);
    EXPECT_EQ(state_.proposed, nullptr);
    EXPECT_NE(state_.awaits(), "approval");
    Feed(Ordered(Order::kApprove, proposed));
    EXPECT_EQ(last_[0].orders[0].outcome, "unknown_adaptation");
    EXPECT_TRUE(state_.served->is_none());
  }
}

TEST_F(MachineTest, AnOrderTakesBackWhatServes) {
  Start({});
  OnTrial(Composed(kAligned));
  Repeat(ALittleBetter(), 40);
  const Adaptation served = *state_.served;
  EXPECT_EQ(Feed(Ordered(Order::kRollBack, served)), (Kinds{kRollBack, kRebaseline, kReport}));
  EXPECT_EQ(last_[2].orders[0].outcome, "done");
  EXPECT_TRUE(state_.served->is_none());
  EXPECT_EQ(state_.state, State::kRolledBack);
  // Twice: it serves no more.
  EXPECT_EQ(Feed(Ordered(Order::kRollBack, served)), Kinds{kReport});
  EXPECT_EQ(last_[0].orders[0].outcome, "unknown_adaptation");
}

// ---- Verdicts and labels that say nothing -------------------------------------------------------

TEST_F(MachineTest, UndoesWhatItDidForAFalseAlarm) {
  Start({});
  Alarmed();
  Collect(1, 100);
  Feed(Found(true));
  Repeat(ALittleBetter(), 40);
  ASSERT_FALSE(state_.served->is_none());
  EXPECT_EQ(Feed(Verdict(EventVerdict::kFalseAlarm)), (Kinds{kRollBack, kRebaseline, kReport}));
  EXPECT_TRUE(state_.served->is_none());
  EXPECT_EQ(state_.state, State::kStable);
  EXPECT_FALSE(state_.is_collecting);
  EXPECT_EQ(last_[2].event_id, "e-1");
}

TEST_F(MachineTest, KeepsWhatItDidForAnExpectedChange) {
  Start({});
  Alarmed();
  Collect(1, 100);
  Feed(Found(true));
  Repeat(ALittleBetter(), 40);
  EXPECT_EQ(Feed(Verdict(EventVerdict::kExpected)), (Kinds{kRebaseline, kReport}));
  EXPECT_EQ(state_.served->hypothesis, FlatField());
  EXPECT_EQ(state_.state, State::kStable);
}

TEST_F(MachineTest, AnExpectedChangeDoesNotEndATrial) {
  for (const bool worse : {false, true}) {
    Start({});
    Alarmed();
    Collect(1, 100);
    Feed(Found(true));
    EXPECT_EQ(Feed(Verdict(EventVerdict::kExpected)), (Kinds{kRebaseline, kReport}));
    EXPECT_EQ(state_.state, State::kProbation);
    EXPECT_EQ(Collect(101, 300), Kinds{}) << "nobody is asked any more";
    EXPECT_EQ(Repeat(worse ? MuchWorse() : ALittleBetter(), 40),
              (Kinds{worse ? kRollBack : kCommit, kRebaseline, kReport}));
    EXPECT_EQ(last_[0].event_id, "e-1");
    EXPECT_EQ(state_.state, worse ? State::kRolledBack : State::kStable);
    EXPECT_EQ(state_.served->is_none(), worse);
    EXPECT_EQ(state_.awaits(), std::nullopt);
  }
}

TEST_F(MachineTest, AFalseAlarmEndsATrialEvenIfItLeadsBackToWhatServedBefore) {
  Start({});
  OnTrial(Composed(kAligned));
  Repeat(ALittleBetter(), 40);
  Feed(TwoLabels("f-2"));
  Feed(NothingFound(kSurelyHalf));
  Feed(Chosen(Base()));  // Now the bundle by itself is on trial, against what it had learned.
  ASSERT_EQ(state_.state, State::kProbation);
  EXPECT_EQ(Feed(Verdict(EventVerdict::kFalseAlarm)), (Kinds{kRollBack, kRebaseline, kReport}));
  EXPECT_TRUE(state_.served->is_none());
  EXPECT_TRUE(state_.champion->is_none()) << "nothing is gone back to by mistake";
}

// ---- Labels that are taken back -----------------------------------------------------------------

// Where no judge is asked, what the label taught stops at once, and does not come again.
TEST_F(MachineTest, WhatALabelTaughtStopsWhenItIsTakenBack) {
  struct Case {
    const char* how;
    std::optional<EventVerdict> verdict;
    Mode mode;
    bool on_trial;
  };
  const Case cases[] = {
      {"the change was expected", EventVerdict::kExpected, Mode::kAutonomous, false},
      {"the change was expected, on trial", EventVerdict::kExpected, Mode::kAutonomous, true},
      {"a false alarm", EventVerdict::kFalseAlarm, Mode::kAutonomous, false},
      {"monitoring only", std::nullopt, Mode::kMonitoringOnly, false},
      {"monitoring only, on trial", std::nullopt, Mode::kMonitoringOnly, true},
  };
  for (const Case& one : cases) {
    SCOPED_TRACE(one.how);
    Start({});
    OnTrial(Composed(kRemembered));  // Of the label of s1.
    if (!one.on_trial) Repeat(ALittleBetter(), 40);
    options_.mode = one.mode;
    Told told;
    told.index = 4000;
    told.feedback.feedback_id = "f-2";
    told.feedback.retract = {"s1"};
    told.feedback.verdict = one.verdict;
    told.settled = {{"s1", "f-2", "retracted"}};
    const Kinds kinds = Feed(told);
    ASSERT_FALSE(kinds.empty());
    EXPECT_EQ(kinds[0], kRollBack);
    EXPECT_TRUE(last_[0].adaptation->is_none());
    EXPECT_EQ(last_.back().fates, told.settled);
    for (const AdaptationPtr& kept : {state_.served, state_.champion, state_.before}) {
      EXPECT_TRUE(kept->entries.empty());
    }
  }
}

TEST_F(MachineTest, AProposalThatALabelTaughtGoesWithIt) {
  Start({.mode = Mode::kServerAssisted});
  Proposed(Composed(kRemembered));
  const Adaptation proposed = *state_.proposed;
  Told told = Ordered(Order::kApprove, proposed);  // Both in one letter: it must not be served.
  told.feedback.retract = {"s1"};
  EXPECT_EQ(std::ranges::count(Feed(told), kServe), 0);
  EXPECT_EQ(state_.proposed, nullptr);
}

TEST_F(MachineTest, TellsWhatBecameOfEachLabel) {
  Start({});
  Asked();
  Told told = TwoLabels();
  told.feedback.labels.pop_back();
  told.settled = {{"nobody", "f-1", "unknown_sample"}};
  Feed(told);
  Feed(NothingFound(kSurelyHalf));
  Feed(Chosen(Composed(kRemembered), 1, 1));
  EXPECT_EQ(last_.back().fates, (std::vector<LabelFate>{{"nobody", "f-1", "unknown_sample"},
                                                        {"s1", "f-1", "learned"}}));
}

TEST_F(MachineTest, AcknowledgesFeedbackThatChangesNothing) {
  Start({});
  Told told;
  told.feedback.feedback_id = "f-1";
  told.settled = {{"nobody", "f-1", "unknown_sample"}};
  EXPECT_EQ(Feed(told), Kinds{kReport});
  EXPECT_EQ(last_[0].feedback_id, "f-1");
  EXPECT_EQ(last_[0].fates, told.settled);
}

// ---- Alarms -------------------------------------------------------------------------------------

TEST_F(MachineTest, AnAlarmBelowTheEvidenceAskedForChangesNothing) {
  Start({});
  EXPECT_EQ(Feed(Alarm{"e-1", 1000, 3.0, 1e6}), Kinds{});
  EXPECT_EQ(state_.state, State::kStable);
  EXPECT_EQ(Feed(Alarm{"e-1", 1000, 6.0, 1e6}), Kinds{kBeginQuarantine});
}

// ---- Restarts and other bundles -----------------------------------------------------------------

TEST_F(MachineTest, GoesOnFromASavedStateAsIfNeverStopped) {
  Start({});
  Alarmed();
  Collect(1, 100);
  Feed(Found(true));
  for (int i = 0; i < 39; ++i) EXPECT_EQ(Feed(ALittleBetter()), Kinds{});
  const base::Bytes saved = Serialise(state_);
  state_ = ParseMachineState(saved, Base()).value();
  EXPECT_EQ(Serialise(state_), saved);
  EXPECT_EQ(Feed(ALittleBetter()), (Kinds{kCommit, kRebaseline, kReport}));
}

TEST_F(MachineTest, KeepsAProposalOverARestart) {
  Start({.mode = Mode::kServerAssisted});
  Alarmed();
  Collect(1, 100);
  Feed(Found(true));
  state_ = ParseMachineState(Serialise(state_), Base()).value();
  ASSERT_NE(state_.proposed, nullptr);
  EXPECT_EQ(state_.proposed->hypothesis, FlatField());
  EXPECT_EQ(state_.awaits(), "approval");
}

// The fields of version 1 as the adapter before the machine wrote them.
void WriteNoneOfVersion1(state::WireWriter& writer) {
  writer.Text("bundle-1");
  writer.Text("");    // Event.
  writer.U8(0);       // Identity,
  writer.U32(0);      // ... no angle,
  writer.U32(0);      // ... no gains,
  writer.U32(0);      // ... no offsets.
  writer.U8(0);       // No alignment,
  writer.U8(0);       // ... no memory.
  writer.Floats({});  // Scale.
  writer.Floats({});  // Shift.
  writer.U32(0);      // The memory: dimensions,
  writer.Floats({});  // ... vectors,
  writer.U16s({});    // ... labels,
  writer.Floats({});  // ... weights,
  writer.U32(0);      // ... entries.
  writer.U32(0);      // Labels.
}

TEST_F(MachineTest, ReadsWhatTheAdapterBeforeItWrote) {
  state::WireWriter writer;
  writer.Raw(base::AsBytes("TLCD"));
  writer.U32(1);
  writer.U8(2);  // Adapting.
  writer.Text("e-7");
  writer.U64(1000);
  writer.U64(1300);
  writer.U64(4);
  writer.U64(0);
  writer.U8(1);  // Searched,
  writer.U8(1);  // ... asked,
  writer.U8(0);  // ... no labels yet,
  writer.U8(0);  // ... not judged.
  writer.F64(1.0);
  writer.Text("");
  writer.U32(0);
  for (int i = 0; i < 4; ++i) writer.F64(0.0);
  writer.U32(0);  // Fates.
  for (int i = 0; i < 3; ++i) WriteNoneOfVersion1(writer);
  writer.U32(base::Crc32c(writer.bytes()));
  const auto read = ParseMachineState(writer.bytes(), Base());
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(read->state, State::kAdapting);
  EXPECT_EQ(read->event_id, "e-7");
  EXPECT_EQ(read->waiting_since, 1300u);
  EXPECT_FALSE(read->is_collecting);
  EXPECT_EQ(read->awaits(), "labels");
  EXPECT_TRUE(read->served->is_none());
  // From now on it is written as this version.
  const base::Bytes now = Serialise(*read);
  EXPECT_EQ(Serialise(ParseMachineState(now, Base()).value()), now);
}

TEST_F(MachineTest, RefusesADamagedOrForeignState) {
  Start({});
  Alarmed();
  const base::Bytes saved = Serialise(state_);
  for (std::size_t i = 0; i < saved.size(); ++i) {
    base::Bytes flipped = saved;
    flipped[i] = static_cast<std::uint8_t>(flipped[i] ^ 1u);
    EXPECT_FALSE(ParseMachineState(flipped, Base()).ok()) << "byte " << i;
  }
  EXPECT_EQ(ParseMachineState(saved, Base("bundle-2")).error().code, base::ErrorCode::kConflict);
}

TEST_F(MachineTest, TakesWhatWasCarriedOverToANewBundle) {
  Start({});
  OnTrial(Composed(kAligned));
  Adaptation carried = *Composed(kAligned);
  carried.bundle = "bundle-2";
  EXPECT_EQ(Feed(BundleTookOver{4000, std::make_shared<const Adaptation>(carried), Base("bundle-2"),
                                "bundle 2 takes over"}),
            Kinds{});
  EXPECT_EQ(*state_.served, carried);
  EXPECT_EQ(state_.state, State::kStable);
  EXPECT_EQ(state_.base->bundle, "bundle-2");
}

// Nobody waits for ever for a proposal that is gone.
TEST_F(MachineTest, WhatIsProposedEndsWithTheBundleOrASnapshot) {
  for (const bool by_bundle : {true, false}) {
    Start({.mode = Mode::kServerAssisted});
    Proposed();
    if (by_bundle) {
      Feed(BundleTookOver{4000, Base("bundle-2"), Base("bundle-2"), "bundle 2 takes over"});
    } else {
      Feed(SnapshotRestored{4000, Base(), "went back by hand"});
    }
    EXPECT_EQ(state_.state, by_bundle ? State::kStable : State::kRolledBack);
    EXPECT_EQ(state_.awaits(), std::nullopt);
    EXPECT_EQ(Feed(Alarm{"e-2", 5000, {}, {}}), Kinds{kBeginQuarantine});
  }
}

TEST_F(MachineTest, LabelsStayAwaitedOverABundleThatCanLearn) {
  for (const bool can_learn : {true, false}) {
    Start({});
    Asked();
    options_.is_adaptable = can_learn;
    Feed(BundleTookOver{4000, Base("bundle-2"), Base("bundle-2"), "bundle 2 takes over"});
    EXPECT_EQ(state_.awaits().has_value(), can_learn);
    EXPECT_EQ(state_.state, can_learn ? State::kAdapting : State::kStable);
  }
}

TEST(MachineNames, ReadBack) {
  for (const Mode mode : {Mode::kAutonomous, Mode::kServerAssisted, Mode::kMonitoringOnly}) {
    EXPECT_EQ(ParseMode(Name(mode)).value(), mode);
  }
  EXPECT_EQ(ParseEventVerdict("false_alarm").value(), EventVerdict::kFalseAlarm);
  EXPECT_FALSE(ParseMode("rogue").ok());
  EXPECT_FALSE(ParseEventVerdict("maybe").ok());
}

}  // namespace
}  // namespace tinylcm::adapt
