#include "tinylcm/adapt/difference.h"

#include <gtest/gtest.h>

namespace tinylcm::adapt {
namespace {

using Lines = std::vector<std::string>;

Adaptation Learned() {
  Adaptation adaptation;
  adaptation.bundle = "b";
  adaptation.event_id = "e-1";
  adaptation.challenger = {Alignment::kMean, Memory::kLabelled};
  adaptation.transform = {.scale = {1.0f}, .shift = {2.0f}};
  adaptation.memory.dims = 1;
  adaptation.memory.Add(std::vector<float>{1.0f}, 3);
  adaptation.memory.Add(std::vector<float>{2.0f}, 3);
  adaptation.entries = {{"s-1", "s-1", "f", LabelOrigin::kPerson, 0},
                        {"s-2", "s-1", "f", LabelOrigin::kPropagated, 0}};
  adaptation.labels = {{"s-1", 3, "f"}, {"s-9", 1, "f"}};
  return adaptation;
}

TEST(Difference, SaysWhatAnAdaptationIs) {
  EXPECT_EQ(Describe(Learned()), (Lines{"event: e-1", "challenger: mean+labelled",
                                        "memory: 2 vectors, 1 of people", "labels: 2"}));
  Adaptation opened;
  opened.opened = {"plum", "pear"};
  EXPECT_EQ(Describe(opened), (Lines{"opened: plum, pear"}));
  EXPECT_EQ(Describe(Adaptation{}), (Lines{"the bundle alone"}));
}

TEST(Difference, IsEmptyBetweenTheSame) {
  EXPECT_TRUE(Differences(Learned(), Learned()).empty());
  EXPECT_TRUE(Differences({}, {}).empty());
}

TEST(Difference, NamesEachThingThatChanged) {
  const Adaptation before = Learned();
  Adaptation after = Learned();
  after.transform.shift[0] = 3.0f;
  after.labels = {{"s-1", 5, "f-2"}, {"s-3", 2, "f-2"}};
  after.opened = {"plum"};
  EXPECT_EQ(Differences(before, after),
            (Lines{"challenger: mean+labelled, with other figures", "opened: none -> plum",
                   "label of s-1: 3 -> 5", "label of s-3: new, 2", "label of s-9: gone"}));
}

TEST(Difference, FromTheBundleAloneEverythingIsNew) {
  Adaptation none;
  none.bundle = "b";
  EXPECT_EQ(Differences(none, Learned()),
            (Lines{"event: none -> e-1", "challenger: none -> mean+labelled",
                   "memory: 0 vectors, 0 of people -> 2 vectors, 1 of people",
                   "label of s-1: new, 3", "label of s-9: new, 1"}));
}

}  // namespace
}  // namespace tinylcm::adapt
