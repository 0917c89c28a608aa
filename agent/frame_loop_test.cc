#include "agent/frame_loop.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

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
using tinylcm::drift::DriftSignal;
namespace datalog = tinylcm::datalog;
namespace monitor = tinylcm::monitor;
namespace pipeline = tinylcm::pipeline;
namespace source = tinylcm::source;

constexpr SeededShape kPictures = {.side = 24, .raw = 64, .dims = 16, .anchors = 40};
constexpr SeededShape kRows = {.side = 0, .raw = 32, .dims = 0, .anchors = 40};

// The frame thread with both rings, without its thread.
class Device {
 public:
  explicit Device(const SeededShape& shape, std::uint32_t log_every = 1)
      : source_(shape),
        path_(SeededStage(shape, shape.side > 0 ? std::make_unique<SeededEngine>(shape) : nullptr),
              0),
        monitor_(std::vector<std::string>(shape.classes, "a class"), base::Duration{0}),
        loop_({.log_every = log_every}, {.source = &source_,
                                         .path = &path_,
                                         .monitor = &monitor_,
                                         .rings = &rings_,
                                         .clock = &clock_,
                                         .logger = &base::NullLogger(),
                                         .wants_frames = [this] { return wants_frames_; }}) {}

  // Steps, and takes from both rings as the other threads would; what is taken is used in place.
  void Run(int frames) {
    for (int i = 0; i < frames; ++i) {
      ASSERT_TRUE(loop_.Step());
      rings_.seen.Take([&](pipeline::Seen& seen) {
        frames_with_picture_ += seen.frame.picture.empty() && seen.frame.row.empty() ? 0 : 1;
        ++seen_;
        rings_.GiveBack(seen);
      });
      rings_.records.Take([&](datalog::Record& record) { last_ = record; });
    }
  }

  EndlessSource source_;
  pipeline::FramePath path_;
  monitor::Monitor monitor_;
  tests::FakeClock clock_;
  FrameRings rings_;
  bool wants_frames_ = false;
  FrameLoop loop_;
  int seen_ = 0;
  int frames_with_picture_ = 0;
  datalog::Record last_;
};

class FrameLoopAllocations : public testing::TestWithParam<SeededShape> {};

TEST_P(FrameLoopAllocations, AWarmFrameTakesNothingFromTheHeap) {
  Device device(GetParam());
  device.Run(1000);  // Commissioning included.
  ASSERT_EQ(device.path_.drift_phase(), tinylcm::drift::DriftMonitor::Phase::kWatching);
  const std::uint64_t before = testing_support::Allocations();
  device.Run(10'000);
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
  EXPECT_EQ(device.seen_, 11'000);
  EXPECT_EQ(device.last_.index, 10'999u);
}

TEST_P(FrameLoopAllocations, AlsoWhileTheControlThreadWantsFramesWhole) {
  Device device(GetParam());
  device.wants_frames_ = true;
  device.Run(1000);
  const std::uint64_t before = testing_support::Allocations();
  device.Run(10'000);
  EXPECT_EQ(testing_support::Allocations() - before, 0u);
  EXPECT_EQ(device.frames_with_picture_, 11'000);
}

INSTANTIATE_TEST_SUITE_P(Inputs, FrameLoopAllocations, testing::Values(kPictures, kRows),
                         [](const auto& given) {
                           return std::string(given.param.side > 0 ? "Pictures" : "Rows");
                         });

TEST(FrameLoop, AnAnswerGoesWithoutItsFrameUnlessSomebodyWantsIt) {
  Device device(kPictures);
  device.Run(10);
  EXPECT_EQ(device.frames_with_picture_, 0);
  device.wants_frames_ = true;
  device.Run(10);
  EXPECT_EQ(device.frames_with_picture_, 10);
}

TEST(FrameLoop, ARecordSaysWhatWasAnswered) {
  Device device(kRows);
  ASSERT_TRUE(device.loop_.Step());
  pipeline::Seen seen;
  device.rings_.seen.Take([&](pipeline::Seen& taken) { seen = taken; });
  device.rings_.records.Take([&](datalog::Record& record) { device.last_ = record; });
  EXPECT_EQ(device.last_.index, seen.index);
  EXPECT_EQ(device.last_.label, seen.prediction.label);
  EXPECT_EQ(device.last_.confidence, seen.prediction.confidence);
  EXPECT_EQ(device.last_.distance, seen.prediction.anchor_distance);
  EXPECT_EQ(device.last_.signal, DriftSignal::kLearning);
  const auto named = device.path_.BundleOf(device.last_.bundle);
  ASSERT_NE(named, nullptr);
  EXPECT_EQ(named->bundle, "seeded-1");
  EXPECT_EQ(device.path_.BundleOf(device.last_.bundle + 1), nullptr);
}

TEST(FrameLoop, EveryThirdAnswerIsLoggedWhereThreeIsAsked) {
  Device device(kRows, 3);
  int records = 0;
  for (int i = 0; i < 30; ++i) ASSERT_TRUE(device.loop_.Step());
  device.rings_.records.Take([&](datalog::Record& record) {
    EXPECT_EQ(record.index % 3, 0u);
    ++records;
  });
  EXPECT_EQ(records, 10);
}

TEST(FrameLoop, WhatNobodyTakesIsCountedAndAnsweringGoesOn) {
  Device device(kRows);
  const std::uint64_t frames = FrameRings::kRecords + 5;
  for (std::uint64_t i = 0; i < frames; ++i) ASSERT_TRUE(device.loop_.Step());
  EXPECT_EQ(device.monitor_.counts().frames, frames);
  EXPECT_EQ(device.monitor_.counts().log_dropped, 5u);
  EXPECT_EQ(device.rings_.not_watched.load(), frames - FrameRings::kSeen);
}

TEST(FrameLoop, NoMoreBytesOfFramesAreOnTheirWayThanStated) {
  // 300 x 300 x 3 = 270,000 bytes: 15 are within 4 MiB, 16 are not.
  Device device({.side = 300, .raw = 64, .dims = 16, .anchors = 40});
  device.wants_frames_ = true;
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(device.loop_.Step());
  int whole = 0;
  device.rings_.seen.Take([&](pipeline::Seen& seen) {
    whole += seen.frame.picture.empty() ? 0 : 1;
    device.rings_.GiveBack(seen);
  });
  EXPECT_EQ(whole, 15);
  EXPECT_EQ(device.rings_.seen_bytes.load(), 0u);
  EXPECT_EQ(device.rings_.not_watched.load(), 25u);
}

// Gives rows that turn to something else after a while.
class TurningSource final : public source::Source {
 public:
  TurningSource(const SeededShape& shape, std::uint64_t turn) : calm_(shape), turn_(turn) {}
  base::Result<std::optional<source::Frame>> Next() override {
    auto next = calm_.Next();
    if ((*next)->index >= turn_) {
      for (float& value : (*next)->row) value = 2.0f - value;
    }
    return next;
  }
  bool ended() const override { return false; }
  source::SourceCounters counters() const override { return calm_.counters(); }

 private:
  EndlessSource calm_;
  std::uint64_t turn_;
};

TEST(FrameLoop, AnAlarmWaitsForRoomAndComesWithItsFrame) {
  TurningSource source(kRows, 1000);
  pipeline::FramePath path(SeededStage(kRows, nullptr), 0);
  monitor::Monitor monitor({"a", "b", "c", "d"}, base::Duration{0});
  tests::FakeClock clock;
  FrameRings rings;
  FrameLoop loop({.log_every = 0}, {.source = &source,
                                    .path = &path,
                                    .monitor = &monitor,
                                    .rings = &rings,
                                    .clock = &clock,
                                    .logger = &base::NullLogger(),
                                    .wants_frames = [] { return false; }});
  // Nobody takes, so the ring is long full when the alarm comes.
  while (path.drift_phase() != tinylcm::drift::DriftMonitor::Phase::kOpen) {
    ASSERT_TRUE(loop.Step());
    ASSERT_LT(path.next_index(), 5000u);
  }
  EXPECT_FALSE(loop.HandOnAlarm());
  // All but those in the ring and the alarm that waits.
  EXPECT_EQ(rings.not_watched.load(), path.next_index() - FrameRings::kSeen - 1);
  int alarms = 0;
  const auto look = [&](pipeline::Seen& seen) {
    if (seen.signal != DriftSignal::kDrift) return;
    ++alarms;
    EXPECT_EQ(seen.frame.row.size(), kRows.raw);
    EXPECT_EQ(seen.index + 1, path.next_index());
  };
  rings.seen.Take(look);
  EXPECT_EQ(alarms, 0);
  EXPECT_TRUE(loop.HandOnAlarm());
  rings.seen.Take(look);
  EXPECT_EQ(alarms, 1);
}

TEST(FrameLoop, WhatComesAfterAnAlarmGoesWholeUntilTheControlThreadHasSeenTheAlarm) {
  TurningSource source(kRows, 1000);
  pipeline::FramePath path(SeededStage(kRows, nullptr), 0);
  monitor::Monitor monitor({"a", "b", "c", "d"}, base::Duration{0});
  tests::FakeClock clock;
  FrameRings rings;
  FrameLoop loop({.log_every = 0}, {.source = &source,
                                    .path = &path,
                                    .monitor = &monitor,
                                    .rings = &rings,
                                    .clock = &clock,
                                    .logger = &base::NullLogger(),
                                    .wants_frames = [] { return false; }});
  int whole = 0;
  const auto look = [&](pipeline::Seen& seen) {
    whole += seen.frame.row.empty() ? 0 : 1;
    rings.GiveBack(seen);
  };
  while (true) {
    ASSERT_TRUE(loop.Step());
    ASSERT_LT(path.next_index(), 5000u);
    if (path.drift_phase() == tinylcm::drift::DriftMonitor::Phase::kOpen) break;
    rings.seen.Take(look);
  }
  ASSERT_EQ(whole, 0);
  // The control thread is still busy, as while it writes to the disk.
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(loop.Step());
  rings.seen.Take(look);
  EXPECT_EQ(whole, 51);  // The alarm and what came after it.
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(loop.Step());
  rings.seen.Take(look);
  EXPECT_EQ(whole, 51);  // It knows now, and does not want them.
  EXPECT_EQ(rings.seen_bytes.load(), 0u);
}

// What a path gives to be sent, all of it taken or none.
std::vector<protocol::Sketches> Taken(pipeline::FramePath& path, bool takes = true) {
  std::vector<protocol::Sketches> taken;
  path.TakeSketches([&](const protocol::Sketches& sketches) {
    taken.push_back(sketches);
    return takes;
  });
  return taken;
}

TEST(FrameLoop, WhatItAnsweredIsCountedForTheFleet) {
  Device device(kRows);
  device.Run(50);
  const auto taken = Taken(device.path_);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].total(), 50);
  EXPECT_EQ(taken[0].first_index, 0u);
  EXPECT_EQ(taken[0].last_index, 49u);
  EXPECT_TRUE(Taken(device.path_).empty());  // Counted anew from here.
}

TEST(FrameLoop, WhatCouldNotBeSentIsGivenAgainWithWhatCameSince) {
  Device device(kRows);
  device.Run(50);
  EXPECT_EQ(Taken(device.path_, false).at(0).total(), 50);
  EXPECT_EQ(Taken(device.path_, false).at(0).total(), 50);  // Nothing came since.
  device.Run(30);
  const auto taken = Taken(device.path_);
  ASSERT_EQ(taken.size(), 1u);
  EXPECT_EQ(taken[0].total(), 80);
  EXPECT_EQ(taken[0].first_index, 0u);
  EXPECT_EQ(taken[0].last_index, 79u);
  EXPECT_TRUE(Taken(device.path_).empty());
}

TEST(FrameLoop, NoBundlesCountsAreLostHoweverOftenItIsSwapped) {
  // kRows is seeded-1; three bundles of the same rows.
  const auto swap_to = [](Device& device, std::uint64_t seed) {
    SeededShape shape = kRows;
    shape.seed = seed;
    device.path_.Offer(SeededStage(shape, nullptr));
  };
  Device device(kRows);
  const auto answer = [&device](int frames) {
    device.Run(frames);
    device.path_.Collect();
  };
  answer(50);
  swap_to(device, 2);
  answer(7);
  swap_to(device, 1);  // Rolled back,
  answer(20);
  swap_to(device, 3);  // and on to another.
  const std::uint64_t before = testing_support::Allocations();
  answer(1);
  EXPECT_EQ(testing_support::Allocations(), before);  // The frame thread's, at a swap too.
  answer(4);
  const auto total_of = [](const std::vector<protocol::Sketches>& all, std::string_view bundle) {
    const auto at = std::ranges::find(all, bundle, &protocol::Sketches::bundle);
    return at == all.end() ? 0 : at->total();
  };
  const auto refused = Taken(device.path_, false);
  ASSERT_EQ(refused.size(), 3u);
  EXPECT_EQ(refused[0].bundle, "seeded-3");  // That which answers.
  EXPECT_EQ(total_of(refused, "seeded-1"), 50 + 20);
  EXPECT_EQ(total_of(refused, "seeded-2"), 7);
  EXPECT_EQ(total_of(refused, "seeded-3"), 5);
  // Not sent, and back to the first: all add up, bundle by bundle.
  swap_to(device, 1);
  answer(10);
  const auto taken = Taken(device.path_);
  EXPECT_EQ(taken.size(), 3u);
  EXPECT_EQ(total_of(taken, "seeded-1"), 50 + 20 + 10);
  EXPECT_EQ(total_of(taken, "seeded-2"), 7);
  EXPECT_EQ(total_of(taken, "seeded-3"), 5);
}

}  // namespace
}  // namespace agent
