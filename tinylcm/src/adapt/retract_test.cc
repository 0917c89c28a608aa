#include "tinylcm/adapt/retract.h"

#include <gtest/gtest.h>

#include <vector>

namespace tinylcm::adapt {
namespace {

// "s1" and "s2" were labelled; "s1" also taught its neighbour "n1".
Adaptation Learned() {
  Adaptation adaptation;
  adaptation.bundle = "b";
  adaptation.event_id = "e";
  adaptation.challenger.memory = Memory::kPropagated;
  adaptation.memory.dims = 1;
  const std::vector<float> vector = {1.0f};
  for (const char* id : {"s1", "n1", "s2"}) {
    adaptation.memory.Add(vector, 3);
    adaptation.entries.push_back({.sample_id = id, .taught_by = id, .feedback_id = "f"});
  }
  adaptation.entries[1].taught_by = "s1";
  adaptation.labels = {{"s1", 3, "f"}, {"s2", 3, "f"}, {"judged", 1, "f"}};
  return adaptation;
}

TEST(Retract, LeavesWhatTheRetractedDidNotTeach) {
  const std::vector<std::string> others = {"s3", "n2"};
  EXPECT_FALSE(IsTaughtBy(Learned(), others));
  EXPECT_EQ(WithoutWhatTheyTaught(Learned(), others), Learned());
}

TEST(Retract, TakesOutAllThatALabelTaughtOrJudged) {
  for (const char* id : {"s1", "s2", "judged"}) {
    const std::vector<std::string> retracted = {id};
    EXPECT_TRUE(IsTaughtBy(Learned(), retracted)) << id;
    const Adaptation left = WithoutWhatTheyTaught(Learned(), retracted);
    EXPECT_TRUE(left.is_none()) << id;
    EXPECT_TRUE(left.entries.empty());
    EXPECT_TRUE(left.labels.empty());
    EXPECT_EQ(left.bundle, "b");
    EXPECT_FALSE(IsTaughtBy(left, retracted));
  }
}

TEST(Retract, LeavesACorrectedInputWhichNoLabelMade) {
  Adaptation adaptation = Learned();
  InputStep step;
  step.kind = StepKind::kMedian;
  adaptation.hypothesis = InputHypothesis::Of(step);
  const Adaptation left = WithoutWhatTheyTaught(adaptation, std::vector<std::string>{"s2"});
  EXPECT_EQ(left.hypothesis, adaptation.hypothesis);
  EXPECT_EQ(left.memory.size(), 0u);
}

}  // namespace
}  // namespace tinylcm::adapt
