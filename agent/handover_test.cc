#include "agent/handover.h"

#include <gtest/gtest.h>

#include <string>
#include <thread>

#include "tests/support/allocations.h"

namespace agent {
namespace {

using std::chrono::milliseconds;

// False: full.
bool Give(Handover<int>& handover, int value) {
  int* const slot = handover.Slot();
  if (slot == nullptr) return false;
  *slot = value;
  handover.Give();
  return true;
}

std::vector<int> TakeAll(Handover<int>& handover) {
  std::vector<int> taken;
  handover.Take([&](int& value) { taken.push_back(value); });
  return taken;
}

TEST(Handover, KeepsTheOrder) {
  Handover<int> handover(4);
  for (const int value : {1, 2, 3}) EXPECT_TRUE(Give(handover, value));
  EXPECT_EQ(TakeAll(handover), (std::vector<int>{1, 2, 3}));
  EXPECT_TRUE(TakeAll(handover).empty());
}

TEST(Handover, TellsTheGiverWhenItIsFullInsteadOfMakingItWait) {
  Handover<int> handover(2);
  EXPECT_TRUE(Give(handover, 7));
  EXPECT_TRUE(Give(handover, 8));
  EXPECT_FALSE(Give(handover, 9));
  EXPECT_EQ(TakeAll(handover), (std::vector<int>{7, 8}));
  EXPECT_TRUE(Give(handover, 10)) << "what was taken made room";
}

TEST(Handover, ASlotThatIsNotGivenIsTheSameNextTimeAndNobodySeesIt) {
  Handover<int> handover(2);
  int* const slot = handover.Slot();
  *slot = 5;
  EXPECT_EQ(handover.Slot(), slot);
  EXPECT_TRUE(TakeAll(handover).empty());
  handover.Give();
  EXPECT_EQ(TakeAll(handover), std::vector<int>{5});
}

TEST(Handover, WhatASlotHeldServesAgain) {
  Handover<std::string> handover(1);
  handover.Slot()->assign(1000, 'a');
  handover.Give();
  EXPECT_EQ(handover.Take([](std::string& text) { text.clear(); }), 1u);
  EXPECT_GE(handover.Slot()->capacity(), 1000u);
}

TEST(Handover, AllocatesNothingOnceMade) {
  Handover<int> handover(8);
  const std::uint64_t before = testing_support::Allocations();
  int sum = 0;
  for (int i = 0; i < 10'000; ++i) {
    Give(handover, i);
    if (i % 10 == 9) handover.Take([&](int& value) { sum += value; });
  }
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
  // Of ten, the first eight found room.
  EXPECT_EQ(sum, 8 * (10 * 999 * 1000 / 2) + 1000 * 28);
}

TEST(Handover, AnswersAtOnceWhenClosedWokenOrHalfFull) {
  // Each of these hours would show.
  Handover<int> closed(2);
  closed.Close();
  closed.Wait(std::chrono::hours(1));

  Handover<int> half_full(4);
  Give(half_full, 1);
  Give(half_full, 2);
  half_full.Wait(std::chrono::hours(1));
}

TEST(Handover, WakesATakerThatSleepsOnceHalfOfTheSlotsWait) {
  Handover<int> handover(4);
  std::size_t taken = 0;
  std::thread taker([&] {
    while (taken < 2) {
      handover.Wait(std::chrono::hours(1));
      taken += handover.Take([](int&) {});
    }
  });
  Give(handover, 1);
  Give(handover, 2);
  taker.join();
  EXPECT_EQ(taken, 2u);
}

TEST(Handover, PassesEverythingBetweenTwoThreads) {
  Handover<int> handover(8);
  constexpr int kCount = 20'000;
  std::thread giver([&] {
    for (int i = 0; i < kCount;) {
      if (Give(handover, i)) {
        ++i;
      } else {
        std::this_thread::yield();
      }
    }
    handover.Close();
  });
  int next = 0;
  while (next < kCount) {
    handover.Wait(milliseconds(1000));
    handover.Take([&](int& value) { EXPECT_EQ(value, next++); });
  }
  giver.join();
}

}  // namespace
}  // namespace agent
