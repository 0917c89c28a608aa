#include "tinysphere/operation/shared_look.h"

#include <gtest/gtest.h>

#include <future>

#include "tests/support/fake_clock.h"

namespace tinysphere::operation {
namespace {

using std::chrono::seconds;

class SharedLookTest : public testing::Test {
 protected:
  Seen Look() {
    ++looks_;
    if (gate_.valid()) {
      entered_.set_value();
      gate_.wait();
    }
    return {.database = true, .objects = true};
  }

  tests::FakeClock clock_;
  int looks_ = 0;
  std::promise<void> entered_;
  std::promise<void> answer_;
  std::shared_future<void> gate_;
  SharedLook look_{clock_, [this] { return Look(); }};
};

TEST_F(SharedLookTest, LooksEveryFiveSecondsAtMost) {
  EXPECT_TRUE(look_.Get().objects);
  clock_.Advance(base::Duration(4'999));
  EXPECT_TRUE(look_.Get().objects);
  EXPECT_EQ(looks_, 1);
  clock_.Advance(base::Duration(1));
  EXPECT_TRUE(look_.Get().objects);
  EXPECT_EQ(looks_, 2);
}

TEST_F(SharedLookTest, HoldsUpOneThreadAndTellsTheOthersWhatWasSeenLast) {
  ASSERT_TRUE(look_.Get().objects);
  clock_.Advance(seconds(10));
  gate_ = answer_.get_future().share();
  auto looker = std::async(std::launch::async, [&] { return look_.Get(); });
  entered_.get_future().wait();  // It hangs in the store; these come back all the same.
  for (int i = 0; i < 32; ++i) EXPECT_TRUE(look_.Get().objects);
  clock_.Advance(seconds(20));  // Thirty since it was seen.
  EXPECT_FALSE(look_.Get().objects);
  EXPECT_FALSE(look_.Get().database);
  answer_.set_value();
  EXPECT_TRUE(looker.get().objects);
  EXPECT_TRUE(look_.Get().objects);
  EXPECT_EQ(looks_, 2);
}

}  // namespace
}  // namespace tinysphere::operation
