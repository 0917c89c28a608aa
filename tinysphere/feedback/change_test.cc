#include "tinysphere/feedback/change.h"

#include <gtest/gtest.h>

namespace tinysphere::feedback {
namespace {

TEST(FeedbackChange, TellsALabelOnce) {
  const Change change = Compare({}, {{"s1", {"3"}}});
  EXPECT_EQ(change.labels, (Labels{{"s1", {"3"}}}));
  EXPECT_TRUE(change.retract.empty());
  EXPECT_TRUE(Compare({{"s1", {"3"}}}, {{"s1", {"3"}}}).empty());
}

TEST(FeedbackChange, RetractsALabelThatWasCorrectedAndTellsTheNewOne) {
  const Change change = Compare({{"s1", {"3"}}, {"s2", {"4"}}}, {{"s1", {"8"}}, {"s2", {"4"}}});
  EXPECT_EQ(change.retract, std::vector<std::string>{"s1"});
  EXPECT_EQ(change.labels, (Labels{{"s1", {"8"}}}));
}

TEST(FeedbackChange, RetractsALabelThatWasTakenBack) {
  const Change change = Compare({{"s1", {"3"}}}, {});
  EXPECT_EQ(change.retract, std::vector<std::string>{"s1"});
  EXPECT_TRUE(change.labels.empty());
}

TEST(FeedbackChange, TellsALabelAgainThatWeighsLessNowWithoutRetractingIt) {
  const Change change = Compare({{"s1", {"3", 1.0, 2}}}, {{"s1", {"3", 2.0 / 3.0, 3}}});
  EXPECT_TRUE(change.retract.empty());
  EXPECT_EQ(change.labels, (Labels{{"s1", {"3", 2.0 / 3.0, 3}}}));
}

TEST(FeedbackChange, IsNothingWhereOneMoreAgrees) {
  EXPECT_TRUE(Compare({{"s1", {"3", 1.0, 1}}}, {{"s1", {"3", 1.0, 2}}}).empty());
}

TEST(FeedbackChange, BringsTheDeviceToWhatIsWanted) {
  const Labels told = {{"s1", {"3"}}, {"s2", {"4"}}, {"s3", {"5"}}};
  const Labels wanted = {{"s1", {"3"}}, {"s2", {"9", 0.5, 2}}, {"s4", {"1", 1.0, 1, true}}};
  EXPECT_EQ(Apply(told, Compare(told, wanted)), wanted);
}

}  // namespace
}  // namespace tinysphere::feedback
