#include "tinylcm/model/hot_swap.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

namespace tinylcm::model {
namespace {

// Knows whether it is alive.
struct Model {
  static inline std::atomic<int> alive = 0;
  explicit Model(int value) : number(value), copy(value) { ++alive; }
  ~Model() {
    copy = -1;
    --alive;
  }
  int number;
  int copy;
};

TEST(HotSwap, TakesAnOfferUpAtTheNextFrame) {
  HotSwap<Model> swap(std::make_unique<Model>(1));
  EXPECT_EQ(swap.Begin().number, 1);
  swap.Offer(std::make_unique<Model>(2));
  EXPECT_TRUE(swap.is_waiting());
  EXPECT_EQ(swap.current().number, 1);
  bool swapped = false;
  EXPECT_EQ(swap.Begin(&swapped).number, 2);
  EXPECT_TRUE(swapped);
  EXPECT_FALSE(swap.is_waiting());
  EXPECT_EQ(swap.Collect()->number, 1);
  EXPECT_EQ(swap.Collect(), nullptr);
  EXPECT_EQ(swap.Begin(&swapped).number, 2);
  EXPECT_FALSE(swapped);
}

TEST(HotSwap, ANewerOfferReplacesOneThatWaits) {
  HotSwap<Model> swap(std::make_unique<Model>(1));
  swap.Offer(std::make_unique<Model>(2));
  swap.Offer(std::make_unique<Model>(3));
  EXPECT_EQ(swap.Begin().number, 3);
}

TEST(HotSwap, DoesNotTakeASecondOfferUpBeforeTheFirstRetiredOneIsCollected) {
  HotSwap<Model> swap(std::make_unique<Model>(1));
  swap.Offer(std::make_unique<Model>(2));
  swap.Begin();
  swap.Offer(std::make_unique<Model>(3));
  EXPECT_EQ(swap.Begin().number, 2);
  swap.Collect();
  EXPECT_EQ(swap.Begin().number, 3);
}

TEST(HotSwap, FramesNeverSeeAFreedModelAndNothingIsLeft) {
  constexpr int kSwaps = 2'000;
  {
    HotSwap<Model> swap(std::make_unique<Model>(0));
    std::atomic<bool> done = false;
    std::thread frames([&] {
      int last = 0;
      while (!done) {
        const Model& model = swap.Begin();
        ASSERT_EQ(model.number, model.copy);
        ASSERT_GE(model.number, last);
        last = model.number;
      }
    });
    for (int i = 1; i <= kSwaps; ++i) {
      swap.Offer(std::make_unique<Model>(i));
      swap.Collect();
    }
    while (swap.is_waiting()) {
      swap.Collect();
      std::this_thread::yield();
    }
    done = true;
    frames.join();
    EXPECT_EQ(swap.current().number, kSwaps);
  }
  EXPECT_EQ(Model::alive, 0);
}

}  // namespace
}  // namespace tinylcm::model
