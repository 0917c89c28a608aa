#include "agent/handover.h"

#include <gtest/gtest.h>

#include <thread>

namespace agent {
namespace {

using std::chrono::milliseconds;

TEST(Handover, KeepsTheOrder) {
  Handover<int> handover(4);
  for (int value : {1, 2, 3}) EXPECT_TRUE(handover.TryGive(value));
  EXPECT_EQ(handover.Take(milliseconds(0)), (std::vector<int>{1, 2, 3}));
}

TEST(Handover, TellsTheGiverWhenItIsFullInsteadOfMakingItWait) {
  Handover<int> handover(2);
  int value = 7;
  EXPECT_TRUE(handover.TryGive(value));
  EXPECT_TRUE(handover.TryGive(value));
  EXPECT_FALSE(handover.TryGive(value));
  EXPECT_EQ(value, 7) << "what was not taken is still the giver's";
}

TEST(Handover, AnswersAtOnceWhenClosed) {
  Handover<int> handover(2);
  handover.Close();
  EXPECT_TRUE(handover.Take(std::chrono::hours(1)).empty());
}

TEST(Handover, PassesEverythingBetweenTwoThreads) {
  Handover<int> handover(8);
  constexpr int kCount = 10'000;
  std::thread giver([&] {
    for (int i = 0; i < kCount;) {
      int value = i;
      if (handover.TryGive(value)) ++i;
    }
  });
  int next = 0;
  while (next < kCount) {
    for (const int value : handover.Take(milliseconds(1000))) EXPECT_EQ(value, next++);
  }
  giver.join();
}

}  // namespace
}  // namespace agent
