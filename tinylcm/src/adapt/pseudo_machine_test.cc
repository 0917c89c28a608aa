// When pseudo-labels may serve, and when they must go.

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>

#include "tinylcm/adapt/machine.h"
#include "tinylcm/adapt/pseudo_labels.h"

namespace tinylcm::adapt {
namespace {

using Kinds = std::vector<ActionKind>;
using enum ActionKind;

AdaptationPtr Made(Memory memory) {
  Adaptation adaptation;
  adaptation.bundle = "bundle-1";
  if (memory != Memory::kNone) {
    adaptation.event_id = "e-1";
    adaptation.challenger.memory = memory;
    adaptation.memory.dims = 1;
    adaptation.memory.Add(std::vector<float>{memory == Memory::kPseudo ? 1.0f : 2.0f}, 0);
    adaptation.entries = {{"s1", "s1", "", LabelOrigin::kPerson, 0}};
    if (memory == Memory::kPseudo) adaptation.entries[0].origin = LabelOrigin::kPseudo;
  }
  return std::make_shared<const Adaptation>(std::move(adaptation));
}

class PseudoMachineTest : public testing::Test {
 protected:
  Kinds Feed(const MachineEvent& event) {
    Step step = Next(options_, std::move(state_), event);
    state_ = std::move(step.state);
    Kinds kinds;
    for (const Action& action : step.actions) kinds.push_back(action.kind);
    return kinds;
  }

  // Alarm at 1000, 300 samples collected, no hypothesis accepted. What the last sample led to.
  Kinds Collect(AccuracyClaim claim = {.is_known = true, .mean = 0.8, .low = 0.7, .high = 0.9},
                bool is_adopted = false) {
    Feed(Alarm{"e-1", 1000, {}, {}});
    Feed(Collected{1100, 100, false});
    Searched searched{1100, {}, claim};
    searched.result.scores = {{"identity", 1.0, 0}, {"flat_field", 0.3, 0}};
    searched.result.is_adopted = is_adopted;
    if (is_adopted) {
      searched.result.best = 1;
      searched.result.hypothesis = InputHypothesis::Of({.kind = StepKind::kFlatField});
    }
    Feed(searched);
    return Feed(Collected{1300, 300, true});
  }
  Kinds Serve() { return Feed(PseudoLabelled{1300, Made(Memory::kPseudo), "2 of 4 clusters"}); }
  void Commit() {
    for (int i = 0; i < 100 && state_.state == AdaptState::kProbation; ++i) {
      Feed(Shadowed{1400,
                    {.champion_distance = 0.5f,
                     .champion_confidence = 0.8f,
                     .challenger_distance = 0.5f,
                     .challenger_confidence = 0.8f,
                     .champion_label = 1,
                     .challenger_label = 1}});
    }
    ASSERT_EQ(state_.state, AdaptState::kStable);
    ASSERT_TRUE(HasPseudo(*state_.served));
  }
  void LabelsCome() {
    Told told;
    told.index = 1900;
    told.feedback.feedback_id = "f-1";
    told.feedback.labels = {{"s1", 3, "f-1"}};
    Feed(told);
    Feed(Searched{1900, {}, {}});
  }

  MachineOptions options_{.pseudo_labels = true};
  MachineState state_ = MachineState::Fresh(Made(Memory::kNone));
};

bool Asks(const Kinds& kinds) {
  return std::find(kinds.begin(), kinds.end(), kPseudoLabel) != kinds.end();
}

TEST_F(PseudoMachineTest, TheyAreTriedWhereNothingElseHelpsAndNobodyHasSpoken) {
  EXPECT_EQ(Collect(), (Kinds{kAskForLabels, kReport, kPseudoLabel}));
  EXPECT_EQ(Serve(), (Kinds{kServe, kReport}));
  EXPECT_EQ(state_.state, AdaptState::kProbation);
}

TEST_F(PseudoMachineTest, ByDefaultAndWithAPersonInTheLoopTheyAreNot) {
  options_.pseudo_labels = false;
  EXPECT_FALSE(Asks(Collect()));
  EXPECT_EQ(Serve(), Kinds{}) << "not even if somebody makes them";
  for (const Mode mode : {Mode::kServerAssisted, Mode::kMonitoringOnly}) {
    options_ = {.mode = mode, .pseudo_labels = true};
    state_ = MachineState::Fresh(Made(Memory::kNone));
    EXPECT_FALSE(Asks(Collect())) << Name(mode);
    EXPECT_EQ(Serve(), Kinds{}) << Name(mode);
  }
}

TEST_F(PseudoMachineTest, TheyAreNotTriedBesideACorrectedInputNorWhereItIsNotSureThatHalfIsRight) {
  EXPECT_FALSE(Asks(Collect({.is_known = true, .mean = 0.8, .low = 0.7, .high = 0.9}, true)));
  state_ = MachineState::Fresh(Made(Memory::kNone));
  EXPECT_FALSE(Asks(Collect({.is_known = false})));
  EXPECT_EQ(state_.state, AdaptState::kEscalated);
  EXPECT_EQ(Serve(), Kinds{});
}

TEST_F(PseudoMachineTest, TheyAreNotServedOnceLabelsCame) {
  Collect();
  LabelsCome();
  EXPECT_EQ(Serve(), Kinds{});
}

TEST_F(PseudoMachineTest, TheCanaryAndTheTrialUndoThemLikeAnythingElse) {
  Collect();
  Serve();
  EXPECT_EQ(Feed(CanaryMeasured{1300, 0.9, 0.7, 100}), (Kinds{kRollBack, kRebaseline, kReport}));
  EXPECT_EQ(*state_.served, *Made(Memory::kNone));
}

TEST_F(PseudoMachineTest, LabelsTakeTheirPlaceAndNoWayLeadsBackToThem) {
  Collect();
  Serve();
  Commit();
  LabelsCome();
  Judged judged;
  judged.index = 1950;
  judged.figures.labels = 20;
  judged.figures.correct = 20;
  judged.figures.correct_before = 19;
  judged.composed = Made(Memory::kLabelled);
  Feed(judged);
  EXPECT_EQ(*state_.served, *Made(Memory::kLabelled));
  EXPECT_FALSE(HasPseudo(*state_.champion));
  EXPECT_FALSE(HasPseudo(*state_.before));
}

TEST_F(PseudoMachineTest, LabelsThatChooseNothingOrContradictEachOtherTakeThemAwayToo) {
  for (const bool is_trusted : {true, false}) {
    state_ = MachineState::Fresh(Made(Memory::kNone));
    Collect();
    Serve();
    Commit();
    LabelsCome();
    Judged judged;
    judged.index = 1950;
    judged.figures.labels = 20;
    judged.figures.correct = 18;
    judged.figures.correct_before = 18;
    judged.figures.is_trusted = is_trusted;
    judged.composed = Made(Memory::kNone);
    Feed(judged);
    EXPECT_TRUE(state_.served->is_none()) << is_trusted;
    EXPECT_FALSE(HasPseudo(*state_.champion));
  }
}

TEST_F(PseudoMachineTest, TheyLiveForSoManySamplesAfterTheAlarm) {
  options_.pseudo_life = 5000;
  Collect();
  Serve();
  Commit();
  EXPECT_EQ(Feed(Passed{5999}), Kinds{});
  EXPECT_EQ(Feed(Passed{6000}), (Kinds{kRollBack, kRebaseline, kReport}));
  EXPECT_TRUE(state_.served->is_none());
  EXPECT_EQ(Feed(Passed{6001}), Kinds{});
}

TEST_F(PseudoMachineTest, TheyGoWhenNobodyWantsThemAnyMore) {
  for (const bool by_mode : {true, false}) {
    options_ = {.pseudo_labels = true};
    state_ = MachineState::Fresh(Made(Memory::kNone));
    Collect();
    Serve();
    Commit();
    if (by_mode) {
      options_.mode = Mode::kServerAssisted;
    } else {
      options_.pseudo_labels = false;
    }
    EXPECT_EQ(Feed(Passed{2000}), (Kinds{kRollBack, kRebaseline, kReport})) << by_mode;
    EXPECT_TRUE(state_.served->is_none());
  }
}

TEST_F(PseudoMachineTest, TheyGoWithTheNextAlarm) {
  Collect();
  Serve();
  Commit();
  EXPECT_EQ(Feed(Alarm{"e-2", 3000, {}, {}}), (Kinds{kRollBack, kBeginQuarantine}));
  EXPECT_TRUE(state_.served->is_none());
  EXPECT_TRUE(state_.before->is_none());
}

}  // namespace
}  // namespace tinylcm::adapt
