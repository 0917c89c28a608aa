// How the frame thread hands pictures to the log: copied, never waited for.

#include <gtest/gtest.h>

#include "agent/frame_loop.h"
#include "base/logger.h"
#include "tests/support/allocations.h"
#include "tests/support/fake_clock.h"
#include "tests/support/seeded_device.h"

namespace agent {
namespace {

using testing_support::EndlessSource;
using testing_support::SeededEngine;
using testing_support::SeededShape;
using testing_support::SeededStage;

constexpr SeededShape kShape = {.side = 24, .raw = 64, .dims = 16, .anchors = 40};

class PictureSampling : public testing::Test {
 protected:
  // `takes`: the log empties its ring after each frame.
  void Run(int frames, bool takes) {
    for (int i = 0; i < frames; ++i) {
      ASSERT_TRUE(loop_.Step());
      rings_.seen.Take([&](tinylcm::pipeline::Seen& seen) { rings_.GiveBack(seen); });
      rings_.records.Take([](auto&) {});
      if (takes) {
        rings_.pictures.Take([&](const LoggedPicture& picture) {
          ++taken_;
          last_index_ = picture.record.index;
          last_bytes_ = picture.bytes.size();
        });
      }
    }
  }

  EndlessSource source_{kShape};
  tinylcm::pipeline::FramePath path_{SeededStage(kShape, std::make_unique<SeededEngine>(kShape)),
                                     0};
  tinylcm::monitor::Monitor monitor_{std::vector<std::string>(kShape.classes, "a class"),
                                     base::Duration{0}};
  tests::FakeClock clock_;
  FrameRings rings_;
  FrameLoop loop_{{.log_every = 1, .images = {.every = 5}},
                  {.source = &source_,
                   .path = &path_,
                   .monitor = &monitor_,
                   .rings = &rings_,
                   .clock = &clock_,
                   .logger = &base::NullLogger(),
                   .wants_frames = [] { return false; }}};
  int taken_ = 0;
  std::uint64_t last_index_ = 0;
  std::size_t last_bytes_ = 0;
};

TEST_F(PictureSampling, EveryFifthPictureIsCopiedWholeWithWhatWasAnswered) {
  Run(21, true);
  EXPECT_EQ(taken_, 5);  // 0, 5, 10, 15, 20
  EXPECT_EQ(last_index_, 20u);
  EXPECT_EQ(last_bytes_, 3u * 24 * 24);
}

TEST_F(PictureSampling, OnceWarmItTakesNothingFromTheHeap) {
  Run(1000, true);
  const std::uint64_t before = testing_support::Allocations();
  Run(1000, true);
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
}

TEST_F(PictureSampling, APictureThatFindsNoRoomIsCountedAndTheAnswerIsNotLate) {
  Run(100, false);
  // Twenty were sampled, four buffers there are.
  EXPECT_EQ(rings_.pictures_not_taken.load(), 16u);
  EXPECT_EQ(monitor_.counts().frames, 100u);
}

TEST_F(PictureSampling, NothingIsCopiedOnceTheDaysBudgetIsSpent) {
  rings_.takes_pictures = false;
  Run(100, true);
  EXPECT_EQ(taken_, 0);
  EXPECT_EQ(rings_.pictures_not_taken.load(), 0u);
}

}  // namespace
}  // namespace agent
